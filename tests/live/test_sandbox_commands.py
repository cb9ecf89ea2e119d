"""Commands of a sandbox, in both generations of Nullspace's API: to their end, in the background, and live."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.live.generations import Generation
from tests.running_service import RunningService


def test_commands(generation: Generation) -> None:
    made = generation.create()["id"]
    done = generation.post(made, "/exec", command="printf", args=["%s", "a b"])
    assert (done.status_code, done.json()["stdout"], done.json()["exit_code"]) == (200, "a b", 0)
    refused = generation.post(made, "/exec", command="x", args=["y"], shell=True)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    late = generation.post(made, "/exec", command="sleep", args=["60"], timeout_secs=1)
    assert (late.status_code, late.json()["code"]) == (504, "exec_timeout")
    pid = generation.post(made, "/exec", command="cat", background=True).json()["pid"]
    assert generation.post(made, f"/processes/{pid}/stdin", data="x\n").status_code == 204
    assert generation.post(made, f"/processes/{pid}/kill").status_code == 204
    assert generation.post(made, f"/processes/{pid}/kill").status_code == 204
    closed = generation.post(made, f"/processes/{pid}/stdin", data="x\n")
    assert (closed.status_code, closed.json()["code"]) == (409, "transition_conflict")
    listed = generation.client.get(generation.url(made, "/processes")).json()
    assert {"pid": pid, "command": '["cat"]', "running": False} in listed
    assert all(set(process) == {"pid", "command", "running"} for process in listed)
    assert generation.client.get(generation.url(made, "/processes/1/logs")).status_code == 404


def test_live_commands(generation: Generation, service: RunningService) -> None:
    made = generation.create()["id"]
    with connect(f"ws://{service.authority}{generation.url(made, '/ws')}?channel=exec") as socket:

        def say(**frame: Any) -> None:
            socket.send(json.dumps(frame))

        def heard() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(socket.recv(timeout=20))
            return found

        say(type="exec_start", id="one", command="cat; echo err >&2; exit 3", shell=True, timeout_secs=60)
        started = heard()
        pid = started["pid"]
        assert started == {"type": "exec_started", "id": "one", "pid": pid}
        say(type="exec_stdin", id="one", pid=pid, data="tea\n")
        assert heard() == {"type": "exec_stdout", "id": "one", "pid": pid, "data": "tea\n"}
        say(type="exec_stdin_close", id="one", pid=pid)
        assert heard() == {"type": "exec_stderr", "id": "one", "pid": pid, "data": "err\n"}
        assert heard() == {"type": "exec_exit", "id": "one", "pid": pid, "exit_code": 3}
        say(type="exec_connect", id="two", pid=pid)
        assert [heard()["type"] for _ in range(4)] == ["exec_started", "exec_stdout", "exec_stderr", "exec_exit"]
        say(type="exec_kill", id="three", pid=1)
        assert (refused := heard())["type"] == "error"
        assert refused["id"] == "three"
        say(type="nonsense", id="four")
        assert heard()["type"] == "error"
        socket.send("no JSON")
        assert heard()["type"] == "error"


def test_other_channels_are_refused(generation: Generation, service: RunningService) -> None:
    made = generation.create()["id"]
    socket = f"ws://{service.authority}{generation.url(made, '/ws')}"
    with connect(socket):
        pass
    with pytest.raises(InvalidStatus, match="501"), connect(f"{socket}?channel=pty"):
        pytest.fail("it was opened")
    socket = f"ws://{service.authority}{generation.url('sb_nobody', '/ws')}"
    with pytest.raises(InvalidStatus, match="404"), connect(socket):
        pytest.fail("it was opened")
