"""Sessions of MCP: begun, used, ended, and nobody else's; and calls that are called off."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.mcp_messages import BOTH, Json, Mcp
from tests.running_service import RunningService, running_service

_MODERN = "2026-07-28"
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": _MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "by-hand", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_UNTIL_STOPPED = "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.05)"


@pytest.fixture(scope="module")
def tight_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with few sessions, and quick reports."""
    with running_service(tmp_path_factory.mktemp("sessions"), mcp_sessions=2, ping_interval=0.2) as service:
        yield service


@pytest.fixture
def mcp(tight_service: RunningService) -> Iterator[Mcp]:
    """That service's."""
    with tight_service.client() as client:
        yield Mcp(client)


@pytest.fixture
def session(mcp: Mcp) -> Iterator[Mcp]:
    """A session that ends with the test."""
    began = mcp.in_session()
    yield began
    mcp.client.delete("/mcp", headers=began.headers)


def call_of(code: str, context: str, **meta: object) -> Json:
    """A call of run_code, whose id is 7."""
    arguments = {"code": code, "context": context, "wait": 600}
    params = {"name": "run_code", "arguments": arguments, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


@contextmanager
def streamed(mcp: Mcp, message: Json, **headers: str) -> Iterator[Iterator[Json]]:
    """The messages that come of one, as they come, until the block hangs up."""
    given = {"Accept": BOTH, **mcp.headers, **headers}
    with mcp.client.stream("POST", mcp.path, json=message, headers=given) as answer:
        assert answer.status_code == 200, answer.read()
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        yield (json.loads(line.removeprefix("data: ")) for line in lines)


def running_in(mcp: Mcp, context: str) -> str:
    """The execution that runs in a context, once it has begun."""
    while True:
        # Before the first there is none.
        run = mcp.call("get_execution").get("structuredContent", {})
        if run.get("context_name") == context and run["text"].startswith("begun"):
            return str(run["execution_id"])


def status_of(mcp: Mcp, execution_id: str, wait: float = 60) -> str:
    """How an execution has ended, or stands after a while."""
    return str(mcp.call("get_execution", execution_id=execution_id, wait=wait)["structuredContent"]["status"])


def test_a_session_is_used_and_ended(mcp: Mcp) -> None:
    session = mcp.in_session()
    answer = session.send("tools/call", {"name": "run_command", "arguments": {"command": "echo hi"}}, accept=BOTH)
    assert session.result(answer)["content"][0]["text"] == "hi"
    assert mcp.client.delete("/mcp", headers=session.headers).status_code == 200
    gone = session.send("tools/list", accept=BOTH)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, -32600)


def test_a_session_that_never_was(mcp: Mcp) -> None:
    for method in ("POST", "GET", "DELETE"):
        answer = mcp.client.request(method, "/mcp", json={}, headers={"Mcp-Session-Id": "none", "Accept": BOTH})
        assert answer.status_code == 404


def test_there_are_only_so_many_sessions(mcp: Mcp) -> None:
    sessions = [mcp.in_session(), mcp.in_session()]
    full = mcp.send("initialize", mcp.client_info(), accept=BOTH)
    assert full.status_code == 503
    # What is complete in itself does not need one.
    assert mcp.request("tools/list")["tools"]
    for session in sessions:
        mcp.client.delete("/mcp", headers=session.headers)
    mcp.client.delete("/mcp", headers=mcp.in_session().headers)


def test_an_idle_session_ends(tmp_path: Path) -> None:
    with running_service(tmp_path, mcp_session_idle_timeout=0.2) as service, service.client() as client:
        session = Mcp(client).in_session()
        # Each look would keep it alive for as long again, so they are further and further apart.
        pause = 0.3
        while session.send("tools/list", accept=BOTH).status_code != 404:
            threading.Event().wait(pause)
            pause *= 2


def test_a_stream_of_a_session_stays_open(session: Mcp) -> None:
    with session.client.stream("GET", "/mcp", headers={"Accept": BOTH, **session.headers}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert session.send("tools/list", accept=BOTH).status_code == 200


def test_reports_come_while_a_run_is_silent_and_when_it_prints(session: Mcp) -> None:
    code = "import time\nfor n in range(3): print('step', n, flush=True); time.sleep(0.7)"
    with streamed(session, call_of(code, "reporting", progressToken="token")) as messages:
        *reports, last = messages
    assert last["id"] == 7
    assert last["result"]["content"][0]["text"].startswith("step 0\nstep 1\nstep 2")
    told = [report["params"] for report in reports]
    assert {report["progressToken"] for report in told} == {"token"}
    assert [report["progress"] for report in told] == sorted({report["progress"] for report in told})
    assert any(report["message"].endswith(": step 1") for report in told)
    # More often than it prints.
    assert len(told) > 4


def test_without_a_token_nothing_is_reported(session: Mcp) -> None:
    with streamed(session, call_of("import time; time.sleep(0.7)", "silent")) as messages:
        assert len(list(messages)) == 1


def test_a_call_that_is_called_off_is_interrupted(session: Mcp, mcp: Mcp) -> None:
    with streamed(session, call_of(f"kept = 5\n{_UNTIL_STOPPED}", "called off")) as messages:
        run = running_in(mcp, "called off")
        notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        assert session.post(notice, accept=BOTH).status_code == 202
        (answer,) = messages
    assert "error" in answer
    assert status_of(mcp, run) == "cancelled"
    assert mcp.text("run_code", code="kept", context="called off") == "5"


def test_hanging_up_in_a_session_stops_nothing(session: Mcp, mcp: Mcp) -> None:
    with streamed(session, call_of(_UNTIL_STOPPED, "hung up")):
        run = running_in(mcp, "hung up")
    assert status_of(mcp, run, 0.5) == "running"
    mcp.call("interrupt", target=run)


def test_the_end_of_a_session_stops_nothing(mcp: Mcp) -> None:
    session = mcp.in_session()
    with streamed(session, call_of(_UNTIL_STOPPED, "over")):
        run = running_in(mcp, "over")
        assert mcp.client.delete("/mcp", headers=session.headers).status_code == 200
        assert status_of(mcp, run, 0.5) == "running"
    mcp.call("interrupt", target=run)


def test_hanging_up_without_a_session_stops_nothing(mcp: Mcp) -> None:
    with streamed(mcp, call_of(_UNTIL_STOPPED, "alone")):
        run = running_in(mcp, "alone")
    assert status_of(mcp, run, 0.5) == "running"
    mcp.call("interrupt", target=run)


def test_nobody_without_a_session_can_call_off_another_s_call(mcp: Mcp) -> None:
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    with streamed(mcp, call_of(_UNTIL_STOPPED, "not yours")):
        run = running_in(mcp, "not yours")
        assert mcp.post(notice, accept=BOTH).status_code == 202
        assert status_of(mcp, run, 0.5) == "running"
    mcp.call("interrupt", target=run)


def test_where_hanging_up_is_how_to_call_off_it_does(mcp: Mcp) -> None:
    message = call_of(_UNTIL_STOPPED, "modern", **_ENVELOPE)
    headers = {"MCP-Protocol-Version": _MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "run_code"}
    message["params"]["_meta"]["progressToken"] = 1
    with streamed(mcp, message, **headers) as messages:
        assert next(messages)["method"] == "notifications/progress"
        run = running_in(mcp, "modern")
    assert status_of(mcp, run) == "cancelled"


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningService, Callable[[str], str]]]:
    """A service with keys, and who makes them."""
    with running_service(tmp_path_factory.mktemp("keys"), isolation="bwrap", access_token="secret") as service:
        yield service, lambda arguments: made_key(service, *arguments.split())


def made_key(service: RunningService, *arguments: str) -> str:
    """A new key."""
    argv = [sys.executable, "-m", "execd", "keys", "create", "--data-dir", str(service.data_dir), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


Walled = tuple[RunningService, Callable[[str], str]]


def test_it_wants_a_key(walled: Walled) -> None:
    with walled[0].client() as client:
        answer = Mcp(client).send("tools/list")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["data"]["code"] == "unauthorized"
        for header in ({"Authorization": "Bearer secret"}, {"X-API-Key": "secret"}, {"X-EXECD-ACCESS-TOKEN": "secret"}):
            assert Mcp(client, headers=header).send("tools/list").status_code == 200


def test_tenants_do_not_meet(walled: Walled) -> None:
    service, new_key = walled
    with service.client() as client:
        tenants = [Mcp(client, headers={"Authorization": f"Bearer {new_key(f'--tenant {name}')}"}) for name in "ab"]
        first, second = (tenant.in_session() for tenant in tenants)
        for session, by_itself, name in ((first, tenants[0], "a"), (second, tenants[1], "b")):
            in_session(session, f"mine = {name!r}\nopen('mine.txt', 'w').write(mine)")
            # Without a session the same tenant is at the same variables.
            assert by_itself.text("run_code", code="mine").startswith(f"'{name}'")
        stolen = Mcp(client, headers={**tenants[1].headers, "Mcp-Session-Id": first.headers["Mcp-Session-Id"]})
        assert stolen.send("tools/list", accept=BOTH).status_code == 404
        assert client.delete("/mcp", headers=stolen.headers).status_code == 404
        run = tenants[0].call("get_execution")["structuredContent"]["execution_id"]
        assert "execution not found" in tenants[1].text("get_execution", execution_id=run)
        artifact = tenants[0].call("list_artifacts")["structuredContent"]["artifacts"][0]
        assert tenants[0].read(artifact["uri"])["text"] == "a"
        assert tenants[1].send("resources/read", {"uri": artifact["uri"]}).json()["error"]["code"] == -32002
        assert artifact["id"] not in tenants[1].text("list_artifacts")


def in_session(session: Mcp, code: str) -> str:
    """What code answers in a session."""
    answer = session.send("tools/call", {"name": "run_code", "arguments": {"code": code}}, accept=BOTH)
    return str(session.result(answer)["content"][0]["text"])


def test_tenants_do_not_meet_when_they_call_at_the_same_time(walled: Walled) -> None:
    service, new_key = walled
    names = ("c", "d")
    with service.client() as client, ThreadPoolExecutor(8) as threads:
        keys = {name: {"X-API-Key": new_key(f"--tenant {name}")} for name in names}
        sessions = {name: Mcp(client, headers=keys[name]).in_session() for name in names}
        for name in names:
            in_session(sessions[name], f"who = {name!r}")
        found = [
            (name, threads.submit(in_session, sessions[name], "import time; time.sleep(0.05); who"))
            for _ in range(10)
            for name in names
        ]
        alone = [
            (name, threads.submit(Mcp(client, headers=keys[name]).text, "run_code", code="who"))
            for _ in range(10)
            for name in names
        ]
        for name, answer in (*found, *alone):
            assert answer.result() == f"'{name}'"


def test_a_key_that_only_reads(walled: Walled) -> None:
    service, new_key = walled
    with service.client() as client:
        reader = Mcp(client, headers={"X-API-Key": new_key("--tenant reader --scope read")})
        names = {tool["name"] for tool in reader.request("tools/list")["tools"]}
        assert {"get_execution", "read_file", "list_artifacts"} <= names
        assert names.isdisjoint({"run_code", "run_command", "write_file", "interrupt"})
        told = reader.call("run_code", code="1")
        assert told["isError"] is True
        assert "run" in told["content"][0]["text"]
