"""Agents over HTTP: made, versioned, run, listed, streamed, cancelled."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.live.agents import Agents
from tests.live.waiting import eventually

SAY = "import execd_run\nexecd_run.output({'said': execd_run.input})"
TALK = """
import execd_run
print("looking")
with execd_run.tool("look", "found"):
    pass
execd_run.usage(prompt_tokens=3, total_tokens=3, cost=0.5)
execd_run.output({"x": 1})
"""
WAIT = "import time\nprint('begun', flush=True)\ntime.sleep(600)"
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}


@pytest.fixture
def agents(client: httpx.Client) -> Agents:
    return Agents(client)


def test_a_run_returns_what_its_code_says(agents: Agents) -> None:
    agent_id = agents.make(SAY, schema=CITY, metadata={"team": "tea", "cost": 1})
    given = {"city": "Röm\u2028"}
    run = agents.run(agent_id, given, session_id="s_1", user_id="u_1", metadata={"cost": 2})
    assert run["id"] == run["execution_id"]
    assert (run["status"], run["output"], run["error"]) == ("completed", {"said": given}, "")
    assert (run["agent_id"], run["session_id"], run["user_id"]) == (agent_id, "s_1", "u_1")
    assert run["metadata"] == {"team": "tea", "cost": 2}
    assert run["usage"]["cpu_seconds"] >= 0
    assert run["usage"]["peak_memory_bytes"] > 1_000_000
    assert run["usage"]["output_bytes"] == 0
    assert agents.get(run) == run


def test_usage_is_passed_through(agents: Agents) -> None:
    run = agents.run(agents.make(TALK))
    assert (run["token_usage"], run["cost"]) == ({"prompt_tokens": 3, "total_tokens": 3}, 0.5)
    assert run["usage"]["output_bytes"] == len("looking\n")


@pytest.mark.parametrize(
    ("language", "code", "output"),
    [
        ("python", "x = 1", None),
        ("python", "from IPython.display import JSON; JSON({'a': 1})", {"a": 1}),
        ("python", "print('plain')", {"text": "plain\n"}),
        ("bash", 'echo "{\\"given\\": $EXECD_INPUT}"', {"given": {"a": "é"}}),
    ],
)
def test_what_is_returned_without_a_word_of_it(agents: Agents, language: str, code: str, output: Any) -> None:
    run = agents.run(agents.make(code, language=language), {"a": "é"})
    assert (run["status"], run["output"]) == ("completed", output)


@pytest.mark.parametrize(("language", "code"), [("python", "print({{ who.name }})"), ("bash", "echo {{ who.name }}")])
def test_a_template_gets_its_input_in_its_places(agents: Agents, language: str, code: str) -> None:
    agent_id = agents.make(code, language=language, template=True)
    assert agents.run(agent_id, {"who": {"name": "o'x; exit 1"}})["output"] == {"text": "o'x; exit 1\n"}
    status, kind, message = agents.refused("POST", f"/agents/{agent_id}/execute", {"input": {"who": {}}})
    assert (status, kind) == (400, "bad_request")
    assert "'who.name'" in message


@pytest.mark.parametrize(
    ("code", "config", "error"),
    [
        ("1 / 0", {}, "ZeroDivisionError: division by zero"),
        ("import time; time.sleep(600)", {"timeout": 0.5}, "TimeoutError: the run exceeded its time limit of 0.5 s"),
        ("import os; os._exit(3)", {}, "KernelDied: the kernel ended with exit code 3"),
    ],
)
def test_a_failure_says_why(agents: Agents, code: str, config: dict[str, Any], error: str) -> None:
    run = agents.run(agents.make(code, **config))
    assert run["status"] == "failed"
    assert run["error"].startswith(error)
    assert agents.stream(run) == [("error", {"message": run["error"]})]


def test_an_input_that_does_not_fit_runs_nothing(agents: Agents) -> None:
    agent_id = agents.make(SAY, schema=CITY)
    path = f"/agents/{agent_id}/execute"
    message = "input.city: 7 is not of type 'string'"
    assert agents.refused("POST", path, {"input": {"city": 7}}) == (400, "bad_request", message)
    assert agents.refused("POST", path, {"input": [7]})[:2] == (400, "bad_request")
    assert agents.page("/executions", agent_id=agent_id)[1]["total"] == 0


def test_runs_share_nothing_unless_they_share_a_sandbox(agents: Agents, client: httpx.Client) -> None:
    code = "from pathlib import Path; f = Path('left'); print(f.exists(), 'x' in globals()); f.touch(); x = 1"
    agent_id = agents.make(code)
    assert [agents.run(agent_id)["output"]["text"] for _ in range(2)] == ["False False\n"] * 2
    sandbox_id = client.post("/v1/sandboxes", json={}).raise_for_status().json()["id"]
    sharing = agents.make(code, sandbox_id=sandbox_id)
    assert [agents.run(sharing)["output"]["text"] for _ in range(2)] == ["False False\n", "True False\n"]
    client.delete(f"/v1/sandboxes/{sandbox_id}").raise_for_status()
    gone = agents.run(sharing)
    assert (gone["status"], gone["error"].partition(":")[0]) == ("failed", "SandboxNotFound")


def test_a_run_leaves_no_sandbox_behind(agents: Agents, client: httpx.Client) -> None:
    run = agents.run(agents.make("1"))

    def made_for_it() -> list[Any]:
        listed = client.get("/v1/sandboxes").json()
        return [sandbox for sandbox in listed if sandbox["metadata"].get("agent_id") == run["agent_id"]]

    eventually(lambda: made_for_it() == [])


def test_an_entry_file_is_run_in_its_sandbox(agents: Agents, client: httpx.Client) -> None:
    base = "/v1/sandboxes/" + client.post("/v1/sandboxes", json={}).raise_for_status().json()["id"]
    script = "import execd_run\nif __name__ == '__main__': execd_run.output(execd_run.input)"
    writing = f"open('main.py', 'w').write({script!r})"
    client.post(f"{base}/proxy/44772/code", json={"code": writing, "context": {"language": "python"}})
    agent_id = agents.make("", entry="main.py", sandbox_id=base.rpartition("/")[2])
    assert agents.run(agent_id, {"a": 1})["output"] == {"a": 1}
    client.delete(base).raise_for_status()


def test_the_stream_of_a_run(agents: Agents) -> None:
    run = agents.run(agents.make(f"{TALK}\nimport time; time.sleep(0.5)"), sync=False)
    assert run["status"] in ("pending", "running")
    frames = agents.stream(run)
    assert [name for name, _ in frames] == ["execution", "content", "tool_start", "tool_end", "done"]
    told = dict(frames)
    assert told["execution"] == {"execution_id": run["id"]}
    assert told["content"] == {"content": "looking\n"}
    assert told["tool_end"] == {"id": told["tool_start"]["id"], "name": "look", "summary": "found"}
    done = ("done", {"output": {"x": 1}, "token_usage": {"prompt_tokens": 3, "total_tokens": 3}})
    assert frames[-1] == done
    assert agents.stream(run) == [done]


def test_a_run_is_cancelled(agents: Agents, client: httpx.Client) -> None:
    run = agents.run(agents.make(WAIT), sync=False)
    with client.stream("GET", f"/api/v1/executions/{run['id']}/stream") as stream:
        lines = stream.iter_lines()
        while "begun" not in next(lines):
            pass
        client.headers["User-Agent"] = "promptrails-python/0.9.1"
        assert agents.ok("POST", f"/executions/{run['id']}/cancel", {})["status"] in ("cancel_requested", "cancelled")
        assert [line for line in lines if line.startswith("event")] == ["event: error"]
    ended = agents.becomes(run, "cancelled")
    assert agents.ok("POST", f"/executions/{run['id']}/cancel", {}) == ended


def test_runs_are_listed(agents: Agents) -> None:
    agent_id, other = agents.make(SAY), agents.make("1 / 0")
    runs = [agents.run(agent_id, session_id="s_1"), agents.run(agent_id, session_id="s_2")]
    failed = agents.run(other, session_id="s_1")
    found, meta = agents.page("/executions", agent_id=agent_id, limit=1)
    assert [run["id"] for run in found] == [runs[1]["id"]]
    assert meta == {"total": 2, "page": 1, "limit": 1, "pages": 2, "total_pages": 2}
    assert agents.page("/executions", agent_id=agent_id, limit=1, page=2)[0] == [runs[0]]
    assert agents.page("/executions", agent_id=agent_id, session_id="s_1")[0] == [runs[0]]
    assert agents.page("/executions", agent_id=agent_id, status="failed")[0] == []
    assert agents.page("/executions", agent_id=other, status="failed")[0] == [failed]
    assert agents.refused("GET", "/executions?status=done")[0] == 400


def test_a_tree(agents: Agents) -> None:
    agent_id = agents.make(SAY)
    root = agents.run(agent_id)
    children = [agents.run(agent_id, parent_execution_id=root["id"]) for _ in range(2)]
    below = agents.run(agent_id, parent_execution_id=children[1]["id"])
    tree = agents.ok("GET", f"/executions/{root['id']}/tree")
    assert [child["id"] for child in tree["children"]] == [child["id"] for child in children]
    assert [child["id"] for child in tree["children"][1]["children"]] == [below["id"]]
    assert tree["children"][0]["children"] == []
    assert agents.ok("GET", f"/executions/{below['id']}/tree") == below
    refused = agents.refused("POST", f"/agents/{agent_id}/execute", {"input": {}, "parent_execution_id": "run_none"})
    assert refused[:2] == (404, "not_found")


def test_the_life_of_an_agent(agents: Agents) -> None:
    made = agents.ok("POST", "/agents", {"name": "one", "type": "agent", "description": "d", "labels": ["a"]})
    path = f"/agents/{made['id']}"
    assert made["current_version"] is None
    assert agents.refused("POST", f"{path}/execute", {"input": {}})[:2] == (400, "bad_request")
    first = agents.version(made["id"], "print('first')")
    second = agents.version(made["id"], "print('second')")
    assert agents.run(made["id"])["output"] == {"text": "first\n"}
    assert agents.run(made["id"], version_id=second)["output"] == {"text": "second\n"}
    assert agents.ok("PUT", f"{path}/versions/{second}/promote", {})["current_version"]["id"] == second
    assert agents.run(made["id"])["output"] == {"text": "second\n"}
    listed = agents.ok("GET", f"{path}/versions")
    assert [(version["id"], version["is_current"]) for version in listed] == [(second, True), (first, False)]
    changed = agents.ok("PATCH", path, {"name": "two", "labels": []})
    assert (changed["name"], changed["description"], changed["labels"]) == ("two", "d", [])
    assert changed["current_version"]["id"] == second
    assert agents.client.delete(f"/api/v1{path}").status_code == 204
    assert agents.refused("GET", path)[:2] == (404, "not_found")
    assert agents.refused("DELETE", path)[:2] == (404, "not_found")
    assert agents.page("/executions", agent_id=made["id"])[1]["total"] == 3


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"config": {"code": "1"}}, "version"),
        ({"version": "1", "config": {}}, "exactly one of code and entry"),
        ({"version": "1", "config": {"code": "1", "language": "cobol"}}, "unknown language"),
        ({"version": "1", "config": {"code": "1"}, "input_schema": {"type": "thing"}}, "input_schema.type"),
        ({"version": "1", "config": {"code": "1"}, "approval_policy": {"mode": "admins"}}, "approval_policy"),
    ],
)
def test_versions_that_cannot_be(agents: Agents, body: dict[str, Any], said: str) -> None:
    agent_id = agents.ok("POST", "/agents", {"name": "one"})["id"]
    status, _, message = agents.refused("POST", f"/agents/{agent_id}/versions", body)
    assert status == 400
    assert said in message


def test_what_is_not_there(agents: Agents) -> None:
    for path in (
        "/agents/agt_none",
        "/executions/run_none",
        "/executions/run_%00",
        "/approvals/apr_none",
        "/agents/x/y",
    ):
        assert agents.refused("GET", path)[:2] == (404, "not_found")
    assert agents.refused("DELETE", "/approvals")[:2] == (405, "method_not_allowed")
