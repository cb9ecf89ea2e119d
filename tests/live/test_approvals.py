"""Runs that wait until somebody has approved: before they start, and in the middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.agents import Agents
from tests.live.waiting import eventually
from tests.running_service import running_service

PARKED = "awaiting_approval"
ASK = """
import execd_run
kept = []
print("before")
execd_run.checkpoint("pay?", {"sum": 3})
kept.append(1)
execd_run.output({"kept": kept})
"""
CLEAN_UP = """
import execd_run
try:
    execd_run.checkpoint("pay?")
except execd_run.Rejected as error:
    print("cleaned up:", error)
execd_run.output({"went": "on"})
"""
Decide = Callable[[Agents, dict[str, Any], bool, str], None]


@pytest.fixture
def agents(client: httpx.Client) -> Agents:
    return Agents(client)


def older(agents: Agents, run: dict[str, Any], approve: bool, reason: str) -> None:
    approval = agents.ok("GET", f"/executions/{run['id']}/pending-approval")
    assert agents.ok("GET", f"/approvals/{approval['id']}") == approval
    decision = {"decision": "approved" if approve else "rejected", "reason": reason, "decided_by": "somebody"}
    decided = agents.ok("POST", f"/approvals/{approval['id']}/decide", decision)
    assert (decided["status"], decided["reason"], decided["decided_by"]) == (
        decision["decision"],
        reason,
        "somebody",
    )
    assert agents.refused("POST", f"/approvals/{approval['id']}/decide", decision)[:2] == (400, "conflict")


def newer(agents: Agents, run: dict[str, Any], approve: bool, reason: str) -> None:
    word = "approve" if approve else "deny"
    assert agents.ok("POST", f"/executions/{run['id']}/{word}", {"reason": reason})["status"] != PARKED
    assert agents.refused("POST", f"/executions/{run['id']}/{word}", {})[:2] == (400, "conflict")


WAYS = pytest.mark.parametrize("decide", [older, newer])


@WAYS
def test_what_waits_before_it_starts(agents: Agents, decide: Decide) -> None:
    agent_id = agents.make("print('ran')", approval_required=True, checkpoint_name="really?")
    run = agents.run(agent_id, {"a": 1})
    assert (run["status"], run["started_at"], run["output"]) == (PARKED, None, None)
    approval = agents.ok("GET", f"/executions/{run['id']}/pending-approval")
    assert (approval["checkpoint_name"], approval["payload"]) == ("really?", {"input": {"a": 1}})
    assert (approval["status"], approval["expires_at"]) == ("pending", run["approval_expires_at"])
    decide(agents, run, True, "fine")
    ended = agents.becomes(run, "completed")
    assert (ended["output"], ended["approval_expires_at"]) == ({"text": "ran\n"}, None)


@WAYS
def test_what_is_rejected_before_it_starts_never_does(agents: Agents, decide: Decide) -> None:
    run = agents.run(agents.make("print('ran')", approval_required=True))
    decide(agents, run, False, "too expensive")
    ended = agents.get(run)
    assert (ended["status"], ended["error"], ended["started_at"]) == ("rejected", "Rejected: too expensive", None)
    assert agents.stream(run) == [("error", {"message": "Rejected: too expensive"})]


@WAYS
def test_what_waits_in_the_middle_keeps_its_variables(agents: Agents, decide: Decide) -> None:
    run = agents.run(agents.make(ASK, timeout=0.5))
    assert run["status"] == PARKED
    approval = agents.ok("GET", f"/executions/{run['id']}/pending-approval")
    assert (approval["checkpoint_name"], approval["payload"]) == ("pay?", {"sum": 3})
    decide(agents, run, True, "")
    assert agents.becomes(run, "completed")["output"] == {"kept": [1]}


@WAYS
@pytest.mark.parametrize("code", [ASK, CLEAN_UP])
def test_what_is_rejected_in_the_middle_ends_so(agents: Agents, decide: Decide, code: str) -> None:
    run = agents.run(agents.make(code))
    decide(agents, run, False, "no money")
    ended = agents.becomes(run, "rejected")
    if code is CLEAN_UP:
        assert ended["output"] == {"went": "on"}
    else:
        assert ended["error"] == "Rejected: no money"


def test_the_time_limit_does_not_go_on_while_it_waits(agents: Agents) -> None:
    code = "import execd_run, time\nbegan = time.monotonic()\nexecd_run.checkpoint('go?')\nprint('done')"
    run = agents.run(agents.make(code, timeout=1))
    client = agents.client
    # More than the limit passes, by the stream's own pings.
    with client.stream("GET", f"/api/v1/executions/{run['id']}/stream") as stream:
        pings = (line for line in stream.iter_lines() if line.startswith(": ping"))
        assert [next(pings), next(pings)] != []
        assert agents.get(run)["status"] == PARKED
    agents.ok("POST", f"/executions/{run['id']}/approve", {})
    assert agents.becomes(run, "completed", "failed")["output"] == {"text": "done\n"}


@pytest.mark.parametrize("config", [{"approval_required": True}, {}])
def test_time_for_approving_is_over(agents: Agents, config: dict[str, Any]) -> None:
    run = agents.run(agents.make(ASK, approval_timeout=0.01, **config), sync=False)
    ended = agents.becomes(run, "rejected")
    assert "nobody has approved it in time" in ended["error"]
    found, _ = agents.page("/approvals", status="expired")
    assert run["id"] in [approval["execution_id"] for approval in found]
    assert agents.refused("GET", f"/executions/{run['id']}/pending-approval")[:2] == (404, "not_found")


@pytest.mark.parametrize("config", [{"approval_required": True}, {}])
def test_a_run_that_waits_is_cancelled(agents: Agents, config: dict[str, Any]) -> None:
    run = agents.run(agents.make(ASK, **config))
    approval = agents.ok("GET", f"/executions/{run['id']}/pending-approval")
    agents.ok("POST", f"/executions/{run['id']}/cancel", {})
    agents.becomes(run, "cancelled")
    path = f"/approvals/{approval['id']}"
    eventually(lambda: agents.ok("GET", path)["status"] == "cancelled")
    assert agents.refused("POST", f"{path}/decide", {"decision": "approved"})[:2] == (400, "conflict")
    assert agents.get(run)["status"] == "cancelled"


def test_the_inbox(agents: Agents) -> None:
    runs = [agents.run(agents.make(ASK, approval_required=required)) for required in (True, False)]
    done = agents.run(agents.make("1"))
    ids = [run["id"] for run in agents.page("/executions/approval-inbox", limit=100)[0]]
    assert [run["id"] in ids for run in (*runs, done)] == [True, True, False]
    assert ids.index(runs[1]["id"]) < ids.index(runs[0]["id"])
    for word in ("awaiting_approval", "waiting_approval"):
        assert {run["id"] for run in runs} <= {run["id"] for run in agents.page("/executions", status=word)[0]}
    for run in runs:
        agents.ok("POST", f"/executions/{run['id']}/deny", {})


def test_later_clients_are_told_in_their_word(agents: Agents) -> None:
    agents.client.headers["User-Agent"] = "promptrails-python/0.9.1"
    run = agents.run(agents.make(ASK))
    assert run["status"] == "waiting_approval"
    agents.ok("POST", f"/executions/{run['id']}/deny", {})


@pytest.mark.parametrize(
    ("body", "said"),
    [({}, "decision"), ({"decision": "maybe"}, "approved or rejected"), ([], "expected a JSON object")],
)
def test_decisions_that_are_none(agents: Agents, body: Any, said: str) -> None:
    status, code, message = agents.refused("POST", "/approvals/apr_none/decide", body)
    assert (status, code) == (400, "bad_request")
    assert said in message
    assert agents.refused("GET", "/approvals?status=maybe")[:2] == (400, "bad_request")


def test_what_waits_before_it_starts_outlives_the_service(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        agents = Agents(client)
        agent_id = agents.make("print(1)", approval_required=True)
        runs = [agents.run(agent_id) for _ in range(3)]
    with running_service(tmp_path) as service, service.client() as client:
        agents = Agents(client)
        assert {agents.get(run)["status"] for run in runs} == {PARKED}
        agents.ok("POST", f"/executions/{runs[0]['id']}/approve", {})
        assert agents.becomes(runs[0], "completed")["output"] == {"text": "1\n"}
        assert agents.ok("POST", f"/executions/{runs[1]['id']}/deny", {})["status"] == "rejected"
        agents.ok("POST", f"/executions/{runs[2]['id']}/cancel", {})
        assert agents.get(runs[2])["status"] == "cancelled"


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_key_is_wanted_where_there_is_one(tmp_path: Path, header: str) -> None:
    with running_service(tmp_path, access_token="secret") as service, service.client() as client:
        answer = client.get("/api/v1/agents")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        key = "secret" if header == "X-API-Key" else "Bearer secret"
        assert client.get("/api/v1/agents", headers={header: key}).status_code == 200
        assert client.get("/api/v1/agents", headers={header: f"{key}x"}).status_code == 401
