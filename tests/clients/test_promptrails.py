"""PromptRails' SDKs of both generations, their blocking and their asynchronous clients: agents, runs and approvals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.dialogue import Dialogue, dialogue
from tests.clients.environments import python_environment
from tests.live.waiting import eventually
from tests.running_service import RunningService, running_service

CALLS = Path(__file__).parent / "promptrails_calls.py"
OLDER, NEWER = "clients-promptrails-8", "clients-promptrails-9"
PARKED = {OLDER: "awaiting_approval", NEWER: "waiting_approval"}

TALK = """
import execd_run
print("looking")
with execd_run.tool("look", "found"):
    pass
execd_run.usage(prompt_tokens=3, total_tokens=3, cost=0.5)
execd_run.output({"city": execd_run.input["city"]})
"""
ASK = "import execd_run\nexecd_run.checkpoint('pay?', {'sum': 3})\nexecd_run.output({'paid': True})"
CITY = {"type": "object", "required": ["city"]}


class Sdk:
    """One of the SDKs, with one of its clients."""

    def __init__(self, name: str, talk: Dialogue) -> None:
        self.name = name
        self._talk = talk

    def call(self, what: str, *arguments: Any, **keywords: Any) -> Any:
        """What a call returns, or the error that it raises."""
        return self._talk.ask(what, arguments, keywords)

    def make(self, code: str, schema: dict[str, Any] | None = None, **config: Any) -> str:
        """A new agent with one version; its id."""
        agent_id = self.call("agents.create", name="weather", type="agent")["id"]
        settings = {"config": {"language": "python", "code": code, **config}, "input_schema": schema or {}}
        version = self.call("agents.create_version", agent_id, version="1", set_current=True, **settings)
        assert version["is_current"] is True
        return str(agent_id)

    def run(self, agent_id: str, **given: Any) -> Any:
        """A run's result."""
        return self.call("agents.execute", agent_id, **{"input": {"city": "Rome"}, **given})

    def becomes(self, execution_id: str, status: str) -> Any:
        """A run's record, once it has this status."""
        eventually(lambda: self.call("executions.get", execution_id)["status"] == status)
        return self.call("executions.get", execution_id)

    def decide(self, execution_id: str, *, approve: bool) -> None:
        """Decide on what a run waits for, as this generation does it."""
        if self.name == NEWER:
            self.call("executions.approve" if approve else "executions.deny", execution_id, reason="so")
            return
        [approval] = [
            found
            for found in self.call("approvals.list", status="pending", limit=100)["data"]
            if found["execution_id"] == execution_id
        ]
        decision = "approved" if approve else "rejected"
        decided = self.call("approvals.decide", approval["id"], decision=decision, reason="so")
        assert (decided["status"], decided["reason"], decided["payload"]) == (decision, "so", approval["payload"])
        assert self.call("approvals.get", approval["id"]) == decided


@pytest.fixture(scope="module", params=[(OLDER, "sync"), (OLDER, "async"), (NEWER, "sync"), (NEWER, "async")])
def sdk(
    request: pytest.FixtureRequest, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sdk]:
    """Each SDK, with each of its clients."""
    name, kind = request.param
    python = python_environment(name) / "python"
    with dialogue(tmp_path_factory.mktemp(name), str(python), str(CALLS), service.url, "any", kind) as talk:
        yield Sdk(name, talk)


def test_an_agent_is_run(sdk: Sdk) -> None:
    agent_id = sdk.make(TALK, CITY)
    result = sdk.run(agent_id, session_id="s_1")
    assert (result["status"], result["output"], result["error"]) == ("completed", {"city": "Rome"}, "")
    assert (result["token_usage"], result["cost"]) == ({"prompt_tokens": 3, "total_tokens": 3}, 0.5)
    record = sdk.call("executions.get", result["execution_id"])
    assert (record["id"], record["agent_id"], record["session_id"]) == (result["execution_id"], agent_id, "s_1")
    assert record["input"] == {"city": "Rome"}
    assert record["completed_at"] >= record["started_at"] >= record["created_at"]


def test_a_run_is_waited_for_by_its_stream(sdk: Sdk) -> None:
    result = sdk.run(sdk.make(f"{TALK}\nimport time; time.sleep(0.5)"), sync=False)
    assert result["status"] in ("pending", "running")
    events = sdk.call("executions.stream", result["execution_id"])
    assert [event["type"] for event in events] == ["execution", "content", "tool_start", "tool_end", "done"]
    assert events[0]["execution_id"] == result["execution_id"]
    assert events[1]["content"] == "looking\n"
    assert (events[3]["name"], events[3]["summary"]) == ("look", "found")
    assert events[4]["output"] == {"city": "Rome"}
    assert events[4]["token_usage"]["total_tokens"] == 3
    assert sdk.call("executions.stream", result["execution_id"]) == events[-1:]


def test_a_failure(sdk: Sdk) -> None:
    result = sdk.run(sdk.make("1 / 0"))
    assert (result["status"], result["error"]) == ("failed", "ZeroDivisionError: division by zero")
    [event] = sdk.call("executions.stream", result["execution_id"])
    assert event == {"type": "error", "message": result["error"]}


def test_runs_are_listed(sdk: Sdk) -> None:
    agent_id = sdk.make(TALK)
    runs = [sdk.run(agent_id)["execution_id"] for _ in range(3)]
    page = sdk.call("executions.list", agent_id=agent_id, status="completed", limit=2)
    assert [found["id"] for found in page["data"]] == runs[:0:-1]
    assert page["meta"] == {"total": 3, "page": 1, "limit": 2, "pages": 2} | (
        {"total_pages": 2} if "total_pages" in page["meta"] else {}
    )


def test_agents_are_found_changed_and_deleted(sdk: Sdk) -> None:
    agent_id = sdk.make(TALK)
    assert agent_id in [agent["id"] for agent in sdk.call("agents.list", name="weather")["data"]]
    assert sdk.call("agents.update", agent_id, description="new")["description"] == "new"
    [version] = sdk.call("agents.list_versions", agent_id)
    assert sdk.call("agents.get", agent_id)["current_version"]["id"] == version["id"]
    assert sdk.call("agents.promote_version", agent_id, version["id"])["id"] == agent_id
    assert sdk.call("agents.delete", agent_id) is None
    assert sdk.call("agents.get", agent_id)["error"] == "NotFoundError"


def test_errors_come_as_the_sdks_own(sdk: Sdk) -> None:
    refused = sdk.run(sdk.make(TALK, CITY), input={})
    assert (refused["error"], refused["status"]) == ("ValidationError", 400)
    assert "'city' is a required property" in refused["message"]
    assert sdk.call("executions.get", "run_none")["error"] == "NotFoundError"


@pytest.mark.parametrize("config", [{"approval_required": True}, {}], ids=["before", "in_the_middle"])
@pytest.mark.parametrize(("approve", "status"), [(True, "completed"), (False, "rejected")])
def test_a_run_waits_for_an_approval(sdk: Sdk, config: dict[str, Any], approve: bool, status: str) -> None:
    code = "import execd_run; execd_run.output({'paid': True})" if config else ASK
    result = sdk.run(sdk.make(code, **config))
    assert result["status"] == PARKED[sdk.name]
    if sdk.name == NEWER:
        inbox = sdk.call("executions.approval_inbox", limit=100)["data"]
        assert result["execution_id"] in [found["id"] for found in inbox]
        assert sdk.call("executions.get", result["execution_id"])["approval_expires_at"] is not None
    sdk.decide(result["execution_id"], approve=approve)
    record = sdk.becomes(result["execution_id"], status)
    assert record["output"] == ({"paid": True} if approve else None)


def test_a_run_is_cancelled(sdk: Sdk) -> None:
    if sdk.name == OLDER:
        pytest.skip("this generation has no call for it")
    result = sdk.run(sdk.make("import time; time.sleep(600)"), sync=False)
    assert sdk.call("executions.cancel", result["execution_id"])["status"] in ("cancel_requested", "cancelled")
    record = sdk.becomes(result["execution_id"], "cancelled")
    assert sdk.call("executions.cancel", result["execution_id"]) == record


def test_a_tree(sdk: Sdk) -> None:
    if sdk.name == OLDER:
        pytest.skip("this generation knows no trees")
    result = sdk.run(sdk.make(TALK))
    tree = sdk.call("executions.tree", result["execution_id"])
    assert (tree["id"], tree["children"]) == (result["execution_id"], [])


@pytest.mark.parametrize("name", [OLDER, NEWER])
def test_the_api_key_is_the_access_token(name: str, tmp_path: Path) -> None:
    python = python_environment(name) / "python"
    with running_service(tmp_path, access_token="secret") as service:
        for key, allowed in (("secret", True), ("wrong", False)):
            with dialogue(tmp_path, str(python), str(CALLS), service.url, key, "sync") as talk:
                answer = talk.ask("agents.list", [], {})
                assert answer.get("error") == (None if allowed else "UnauthorizedError")
