"""Baponi's API over HTTP: programs, how they end, and how each way to be told of them tells it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.agent import Agent
from tests.live.waiting import eventually
from tests.running_service import RunningService, running_service


@pytest.fixture(scope="module")
def narrow_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that lets two programs run at once, and breaks silence soon."""
    with running_service(tmp_path_factory.mktemp("narrow"), max_programs=2, ping_interval=0.2) as service:
        yield service


@pytest.fixture
def agent(narrow_service: RunningService) -> Iterator[Agent]:
    """An agent that talks to it."""
    with narrow_service.client() as client:
        yield Agent(client)


class Gate:
    """Where programs wait until the test lets one of them pass."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.code = f"open({str(path)!r}).read()"

    def open(self) -> None:
        """Let one pass."""
        self.path.write_text("go")


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """A gate."""
    return Gate(tmp_path / "gate")


@pytest.mark.parametrize(
    ("language", "code", "ended"),
    [
        ("python", "import sys; print('out'); print('err', file=sys.stderr)", ("out\n", "err\n", 0)),
        ("python", "import sys; print(repr(sys.stdin.read())); sys.exit(3)", ("''\n", "", 3)),
        ("python", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", ("", "", 139)),
        ("bash", "cat\necho out\necho err >&2\nfalse", ("out\n", "err\n", 1)),
        ("bash", "x=$(printf 'a\\n\\n'); echo \"$x\" '$(b)' `echo c`; cat <<'E'\n$d\nE", ("a $(b) c\n$d\n", "", 0)),
        ("node", "console.log('out'); console.error('err'); process.exitCode = 2", ("out\n", "err\n", 2)),
    ],
)
def test_how_programs_end(agent: Agent, language: str, code: str, ended: tuple[str, str, int]) -> None:
    if shutil.which(language) is None:
        pytest.skip(f"there is no {language}")
    found = agent.run(code, language=language)
    assert (found["stdout"], found["stderr"], found["exit_code"]) == ended
    assert (found["success"], found["error"]) == (ended[2] == 0, None)
    assert found["trace_id"].startswith("trc_")


def test_a_program_that_is_longer_than_an_argument_may_be(agent: Agent) -> None:
    comment = "#" + "é" * 300_000
    assert agent.run(f"{comment}\nprint('python')")["stdout"] == "python\n"
    assert agent.run(f"{comment}\necho bash", language="bash")["stdout"] == "bash\n"


def test_a_language_without_an_interpreter(agent: Agent) -> None:
    known = next(language for language in ("bun", "deno", "php", "ruby") if shutil.which(language) is None)
    found = agent.run("1", language=known)
    assert (found["success"], found["exit_code"]) == (False, -1)
    assert found["error"] == f"Language '{known}' not available in this image"


def test_a_program_whose_time_is_over(agent: Agent) -> None:
    found = agent.run("print('so far'); import time; time.sleep(60)", timeout=1)
    assert (found["success"], found["stdout"], found["exit_code"], found["error"]) == (
        False,
        "so far\n",
        137,
        "timeout",
    )
    assert agent.record(found["trace_id"])["status"] == "timeout"


def test_variables_are_the_program_s_own(agent: Agent) -> None:
    code = "import os; print(os.environ.get('TEA'), 'EXECD_ACCESS_TOKEN' in os.environ)"
    assert agent.run(code, env_vars={"TEA": "green"}, thread_id="variables")["stdout"] == "green False\n"
    assert agent.run(code, thread_id="variables")["stdout"] == "None False\n"


def test_the_record_of_a_program(agent: Agent) -> None:
    found = agent.run("print(1)", metadata={"step": "1"})
    record = agent.record(found["trace_id"])
    assert {name: record[name] for name in ("status", "exit_code", "stdout", "stderr", "error", "delivery_mode")} == {
        "status": "success",
        "exit_code": 0,
        "stdout": "1\n",
        "stderr": "",
        "error": None,
        "delivery_mode": "inline",
    }
    assert record["webhook_url"] is record["webhook_delivery_status"] is None
    assert isinstance(record["duration_ms"], int)
    assert record["created_at"] <= record["completed_at"]
    # Nobody needs what was told already.
    assert list(agent.output(found["trace_id"])) == []


def test_events_as_they_happen(agent: Agent, gate: Gate) -> None:
    code = f"import sys\nprint('one\\ntwo\\u2028')\n{gate.code}\nprint('three', file=sys.stderr)"
    seen: list[dict[str, Any]] = []
    for event in agent.stream(code):
        seen.append(event)
        # Its output comes before its end, and its silence is broken.
        if event["type"] == "keepalive" and len(seen) == 4:
            gate.open()
    types = [event["type"] for event in seen]
    assert types[:4] == ["status", "output", "output", "keepalive"]
    assert types[-2:] == ["output", "result"]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert [event["data"] for event in seen if event["type"] == "output"] == ["one\n", "two\u2028\n", "three\n"]
    assert seen[-1]["result"] == {
        "success": True,
        "stdout": "one\ntwo\u2028\n",
        "stderr": "three\n",
        "exit_code": 0,
        "error": None,
    }
    assert (seen[-1]["status"], seen[-1]["output_truncated"]) == ("success", False)
    # Who comes back finds every event under its number.
    assert list(agent.output(seen[0]["trace_id"])) == seen[1:]
    assert list(agent.output(seen[0]["trace_id"], 3)) == seen[3:]


def test_output_of_a_program_that_runs_is_followed(agent: Agent, gate: Gate) -> None:
    trace_id = agent.start(f"print('before')\n{gate.code}\nprint('after')", webhook_url="https://hooks.invalid/hook")
    record = agent.record(trace_id)
    assert (record["status"], record["stdout"], record["exit_code"], record["delivery_mode"]) == (
        "running",
        None,
        None,
        "webhook",
    )
    assert (record["webhook_url"], record["webhook_delivery_status"]) == ("https://hooks.invalid/hook", "pending")
    printed = []
    for event in agent.output(trace_id):
        if event["type"] == "output":
            printed.append(event["data"])
            if len(printed) == 1:
                gate.open()
    assert printed == ["before\n", "after\n"]
    assert (event["type"], event["status"]) == ("result", "success")


def test_a_program_is_cancelled(agent: Agent, gate: Gate) -> None:
    events = agent.stream(f"print('begun')\n{gate.code}", thread_id="cancelled")
    trace_id = next(events)["trace_id"]
    assert next(events)["data"] == "begun\n"
    with httpx.Client(base_url=agent.client.base_url) as other:
        answer = Agent(other).cancel(trace_id)
    assert (answer.status_code, answer.json()) == (200, {"trace_id": trace_id, "status": "cancelling"})
    *_, last = events
    assert (last["type"], last["status"], last["result"]["error"]) == ("result", "cancelled", "Cancelled by user")
    # The thread is free by now.
    assert agent.run("print(1)", thread_id="cancelled")["stdout"] == "1\n"
    again = agent.cancel(trace_id)
    assert (again.status_code, again.json()["error"]) == (409, "conflict")
    assert agent.record(trace_id)["status"] == "cancelled"


def test_hanging_up_stops_nothing(agent: Agent, gate: Gate) -> None:
    events = agent.stream(f"{gate.code}\nprint('done')")
    trace_id = next(events)["trace_id"]
    events.close()  # type: ignore[attr-defined]
    gate.open()
    eventually(lambda: agent.record(trace_id)["stdout"] == "done\n")


def test_a_busy_thread_and_too_many_programs(agent: Agent, gate: Gate) -> None:
    first = agent.start(gate.code, thread_id="busy")
    for headers in ({}, {"Accept": "application/x-ndjson"}, {"Prefer": "respond-async"}):
        answer = agent.post("1", headers, thread_id="busy")
        assert (answer.status_code, answer.json()) == (409, {"error": "conflict", "message": "thread_busy: busy"})
    second = agent.start(gate.code)
    answer = agent.post("1")
    assert (answer.status_code, answer.json()["error"]) == (429, "rate_limited")
    assert answer.json()["message"].startswith("concurrent execution limit reached (2/2)")
    assert float(answer.headers["retry-after"]) > 0
    for trace_id in (first, second):
        assert agent.cancel(trace_id).status_code == 200
        eventually(lambda trace_id=trace_id: agent.record(trace_id)["status"] == "cancelled")  # type: ignore[misc]
    assert agent.run("print(1)", thread_id="busy")["success"]


def test_errors_are_flat(agent: Agent) -> None:
    client = agent.client
    answers = {
        (400, "validation_error"): [
            agent.post(""),
            agent.post("1", timeout=0),
            client.post("/v1/sandbox/execute", content=b"{"),
            client.post("/v1/sandbox/execute", content=b"{}", headers={"Content-Type": "text/plain"}),
            client.post("/v1/sandbox/execute", json=[]),
            client.get("/v1/executions/trc_x/output", params={"after_seq": "-1"}),
            agent.files("list", id="a/b"),
        ],
        (404, "not_found"): [
            client.get("/v1/executions/trc_unknown"),
            client.get("/v1/executions/other/output"),
            client.post("/v1/executions/trc_unknown/cancel"),
            client.get("/v1/sandbox/nothing"),
            client.get("/v1/files/nothing"),
            client.get("/v1/files/signed/forged"),
            agent.files("list", id="unknown"),
            client.post("/v1/files/list", json={"source": "volume", "id": "v"}),
        ],
        (405, "method_not_allowed"): [client.get("/v1/sandbox/execute"), client.post("/health")],
        (413, "payload_too_large"): [agent.post("#" * 1_048_577)],
    }
    for (status, code), given in answers.items():
        for answer in given:
            assert (answer.status_code, answer.json()["error"]) == (status, code), answer.text
            assert isinstance(answer.json()["message"], str)
    assert answers[413, "payload_too_large"][0].json()["max_size_bytes"] == 1_048_576


def test_health_and_readiness(agent: Agent) -> None:
    assert agent.client.get("/health").json() == {"status": "ok"}
    ready = agent.client.get("/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "checks": {"service": "ok", "store": "ok", "warden": "ok"}},
    )


def test_what_needs_a_key(tmp_path: Path) -> None:
    with running_service(tmp_path, access_token="secret") as service:
        with service.client() as anybody:
            refused = anybody.get("/v1/executions/trc_x")
            assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
            assert anybody.post("/v1/sandbox/execute", json={"code": "1"}).json()["error"] == "unauthorized"
            assert anybody.get("/health").status_code == anybody.get("/ready").status_code == 200
        with service.client(headers={"Authorization": "Bearer secret"}) as client:
            agent = Agent(client)
            signed = agent.files("upload_url", id="t", path="a b.txt", content_length=3).json()
            headers = {each["name"]: each["value"] for each in signed["headers"]}
            assert httpx.put(signed["url"], content=b"abc", headers=headers).status_code == 200
            code = "import os; print(open(os.path.expanduser('~/a b.txt')).read())"
            assert agent.run(code, thread_id="t")["stdout"] == "abc\n"
            fetched = agent.files("download_url", id="t", path="a b.txt").json()
            assert httpx.get(fetched["url"]).content == b"abc"
            # What is good for reading is not good for writing.
            assert httpx.put(fetched["url"], content=b"x").json()["error"] == "not_found"
