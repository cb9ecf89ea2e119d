"""Agents, runs and approvals of two tenants, and what each kind of key is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.live.agents import Agents
from tests.live.test_tenants import keys
from tests.running_service import RunningService, running_service

ASK = "import execd_run\nexecd_run.checkpoint('pay?')\nexecd_run.output({'paid': True})"
NOT_FOUND = (404, "not_found")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with keys."""
    with running_service(tmp_path_factory.mktemp("keyed")) as running:
        yield running


class Door:
    """Lets tenants in."""

    def __init__(self, service: RunningService, stack: ExitStack) -> None:
        self._service = service
        self._stack = stack

    def open(self, tenant: str, *scopes: str) -> Agents:
        """A client of the tenant's, with a key for these."""
        given = [word for scope in scopes for word in ("--scope", scope)]
        key = keys(self._service, "create", "--tenant", tenant, *given)
        return Agents(self._stack.enter_context(self._service.client(headers={"X-API-Key": key})))


@pytest.fixture
def door(service: RunningService) -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(service, stack)


def test_what_is_another_s_is_not_there(door: Door) -> None:
    rich, poor = door.open("rich"), door.open("poor")
    agent_id = rich.make(ASK)
    run = rich.run(agent_id)
    approval = rich.ok("GET", f"/executions/{run['id']}/pending-approval")
    for method, path in (
        ("GET", f"/agents/{agent_id}"),
        ("PATCH", f"/agents/{agent_id}"),
        ("DELETE", f"/agents/{agent_id}"),
        ("GET", f"/agents/{agent_id}/versions"),
        ("PUT", f"/agents/{agent_id}/versions/{run['agent_version_id']}/promote"),
        ("GET", f"/executions/{run['id']}"),
        ("GET", f"/executions/{run['id']}/tree"),
        ("GET", f"/executions/{run['id']}/stream"),
        ("GET", f"/executions/{run['id']}/pending-approval"),
        ("POST", f"/executions/{run['id']}/approve"),
        ("POST", f"/executions/{run['id']}/cancel"),
        ("GET", f"/approvals/{approval['id']}"),
    ):
        assert poor.refused(method, path, None if method == "GET" else {})[:2] == NOT_FOUND, path
    assert poor.refused("POST", f"/agents/{agent_id}/execute", {"input": {}})[:2] == NOT_FOUND
    assert poor.refused("POST", f"/approvals/{approval['id']}/decide", {"decision": "approved"})[:2] == NOT_FOUND
    for path in ("/agents", "/executions", "/executions/approval-inbox", "/approvals"):
        assert poor.page(path)[0] == []
        assert rich.page(path)[0] != []
    assert rich.ok("POST", f"/executions/{run['id']}/deny", {})["workspace_id"] == run["workspace_id"]


def test_a_run_is_where_its_tenant_is(door: Door) -> None:
    rich, poor = door.open("rich_2"), door.open("poor_2")
    theirs = rich.client.post("/v1/sandboxes", json={}).raise_for_status().json()["id"]
    leaving = "from pathlib import Path; print(Path('left').exists()); Path('left').touch()"
    for agents in (rich, poor):
        assert agents.run(agents.make(leaving, sandbox_id="default"))["output"] == {"text": "False\n"}
    assert rich.run(rich.make(leaving, sandbox_id="default"))["output"] == {"text": "True\n"}
    refused = poor.run(poor.make("print(1)", sandbox_id=theirs))
    assert (refused["status"], refused["error"].partition(":")[0]) == ("failed", "SandboxNotFound")


def test_a_run_may_not_be_approved_by_the_key_that_only_runs(door: Door) -> None:
    manager, runner = door.open("firm"), door.open("firm", "run", "read")
    agent_id = manager.make(ASK, approval_required=True)
    assert runner.refused("POST", "/agents", {"name": "mine"})[:2] == (403, "forbidden")
    run = runner.run(agent_id)
    approval = runner.ok("GET", f"/executions/{run['id']}/pending-approval")
    for path in (f"/executions/{run['id']}/approve", f"/approvals/{approval['id']}/decide"):
        assert runner.refused("POST", path, {"decision": "approved"})[:2] == (403, "forbidden")
    manager.ok("POST", f"/executions/{run['id']}/approve", {})
    assert manager.ok("GET", f"/approvals/{approval['id']}")["decided_by"].startswith("key_")
    manager.becomes(run, "awaiting_approval")
    manager.ok("POST", f"/executions/{run['id']}/approve", {"decided_by": "the boss"})
    assert manager.becomes(run, "completed")["output"] == {"paid": True}
    assert next(found["decided_by"] for found in manager.page("/approvals")[0]) == "the boss"
