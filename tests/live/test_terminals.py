"""Terminals as people and agents use them: a shell, a Python prompt, a full-screen program, over the WebSocket."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.live.terminal_client import TerminalClient, new_terminal
from tests.live.waiting import eventually, is_gone
from tests.running_service import RunningService, running_service

PROMPT = rb"bash-[\d.]+[#$] "
FULL_SCREEN = """
import curses, os

def main(screen):
    screen.timeout(20)
    keys = []
    while "q" not in keys:
        rows, columns = screen.getmaxyx()
        screen.erase()
        screen.addstr(0, 0, f"size {columns}x{rows}")
        screen.addstr(1, 0, "keys " + " ".join(keys))
        screen.addstr(2, 0, "é" * 3)
        screen.refresh()
        code = screen.getch()
        if code != -1:
            keys.append(curses.keyname(code).decode().removeprefix("KEY_"))
        elif (columns, rows) != (size := os.get_terminal_size()):
            curses.resizeterm(size.lines, size.columns)

curses.wrapper(main)
print("left the screen with", curses.termname())
"""


@pytest.fixture
def terminal(client: httpx.Client) -> Iterator[str]:
    """A terminal with an interactive shell."""
    terminal_id = new_terminal(client)
    yield terminal_id
    client.delete(f"/pty/{terminal_id}")


def refused(service: RunningService, path: str, **options: Any) -> tuple[int, dict[str, str]]:
    """How a handshake is refused: the status and the JSON body."""
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://{service.authority}{path}", **options):
        pass
    return caught.value.response.status_code, json.loads(caught.value.response.body)


def test_a_shell(service: RunningService, client: httpx.Client, terminal: str) -> None:
    assert client.get(f"/pty/{terminal}").json().items() >= {"running": False, "output_offset": 0}.items()
    with TerminalClient(service, terminal) as shell:
        assert shell.texts == [{"type": "connected", "session_id": terminal, "mode": "pty"}]
        shell.until(PROMPT)
        shell.type("echo $((6*7)) $TERM; stty size\n")
        shell.until(rb"[\r\n]42 xterm-256color\r\n24 80\r\n")
        assert client.get(f"/pty/{terminal}").json().items() >= {"running": True, "attached": True}.items()
        shell.type("exit 7\n")
        shell.rest()
        assert shell.texts[-1] == {"type": "exit", "exit_code": 7}
        assert shell.closed == (1000, "process exited")
    info = client.get(f"/pty/{terminal}").json()
    assert info.items() >= {"running": False, "exit_code": 7, "output_offset": shell.offset}.items()


def test_a_command_in_a_folder_with_exit_code_zero(
    service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    terminal = new_terminal(client, cwd=str(tmp_path / "made"), command="pwd; tty -s && echo tty")
    with TerminalClient(service, terminal) as shell:
        assert shell.rest() == f"{tmp_path}/made\r\ntty\r\n".encode()
        assert shell.texts[-1] == {"type": "exit", "exit_code": 0}
    client.delete(f"/pty/{terminal}")


def test_job_control(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type("sh -c 'echo u\"\"p; exec sed -u s/^/got:/'\n")
        shell.until(rb"up\r\n")
        shell.type("once\n")
        shell.until(rb"got:once\r\n")
        shell.type("\x1a")
        shell.until(rb"Stopped.*" + PROMPT)
        shell.type("jobs\n")
        shell.until(rb"Stopped +sh -c .*" + PROMPT)
        shell.type("fg\n")
        shell.until(rb"[\r\n]sh -c .*\r\n")
        shell.type("twice\n")
        shell.until(rb"got:twice\r\n")
        shell.type("\x03")
        shell.until(rb"\^C.*" + PROMPT)
        shell.type("echo status=$?=\n")
        assert shell.until(rb"[\r\n]status=(\d+)=")[1] == b"130"


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGQUIT", 131), ("SIGTERM", 143)])
def test_signals_reach_what_is_in_the_foreground(
    service: RunningService, terminal: str, name: str, status: int
) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.type("ulimit -c 0; (echo star''ted; exec sleep 1000)\n")
        shell.until(rb"started\r\n")
        shell.say(type="signal", signal=name)
        shell.until(PROMPT)
        shell.type("echo status=$?=\n")
        assert int(shell.until(rb"[\r\n]status=(\d+)=")[1]) == status


@pytest.mark.parametrize(("name", "status"), [("SIGHUP", 129), ("SIGKILL", 137)])
def test_signals_that_end_the_terminal(service: RunningService, client: httpx.Client, name: str, status: int) -> None:
    terminal = new_terminal(client, command="echo ready; sleep 1000; echo not reached")
    with TerminalClient(service, terminal) as shell:
        shell.until(rb"ready\r\n")
        shell.say(type="signal", signal=name)
        assert shell.rest() == b""
        assert shell.texts[-1] == {"type": "exit", "exit_code": status}
    client.delete(f"/pty/{terminal}")


def test_a_python_prompt_and_a_full_screen_program_in_it(
    service: RunningService, terminal: str, tmp_path: Path
) -> None:
    (tmp_path / "screen.py").write_text(FULL_SCREEN)
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type(f"PYTHON_BASIC_REPL=1 {sys.executable} -q\n")
        shell.until(rb">>> ")
        shell.type("6 * 7\n")
        shell.until(rb"[\r\n]42\r\n.*>>> ")
        shell.type("import time; time.sleep(1000)\n")
        shell.until(rb"sleep\(1000\)\r\n")
        shell.type("\x03")
        shell.until(rb"KeyboardInterrupt\r\n.*>>> ")
        shell.type(f"exec(open({str(tmp_path / 'screen.py')!r}).read())\n")
        shell.until(rb"\x1b\[\?1049h.*size 80x24.*\xc3\xa9\xc3\xa9\xc3\xa9")
        shell.type("\x1bOA")
        shell.until(rb"UP")
        shell.type("\x1bOD")
        shell.until(rb"LEFT")
        shell.say(type="resize", cols=132, rows=50)
        shell.until(rb"132x50")
        shell.type("q")
        shell.until(rb"\x1b\[\?1049l.*left the screen with b'xterm-256color'.*>>> ")
        shell.type("exit()\n")
        shell.until(PROMPT)


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
def test_vim(service: RunningService, terminal: str, tmp_path: Path) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type(f"vim -u NONE -i NONE -n {tmp_path}/text\n")
        shell.until(rb"\x1b\[\?1049h.*text")
        shell.say(type="resize", cols=100, rows=30)
        shell.type("ihello from vim\x1b")
        shell.until(rb"hello from vim")
        shell.type(":wq\r")
        shell.until(rb"\x1b\[\?1049l.*" + PROMPT)
    assert (tmp_path / "text").read_text() == "hello from vim\n"


@pytest.mark.skipif(shutil.which("top") is None, reason="top is not installed")
def test_top(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type("top\n")
        shell.until(rb"load average.*PID")
        shell.type("q")
        shell.until(PROMPT)


def test_json_input_ping_and_what_means_nothing(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.say(type="ping")
        assert shell.wait_for_text("pong") == {"type": "pong"}
        for nonsense in ('{"type":"exit"}', "{", b"\x07x", b"", '{"type":"resize","cols":0,"rows":1}'):
            shell.texts.clear()
            shell.send(nonsense)
            assert shell.wait_for_text("error").items() >= {"type": "error", "code": "INVALID_FRAME"}.items()
        shell.say(type="stdin", data="echo still h''ere\n")
        shell.until(rb"still here\r\n")


def test_pipe_mode(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal, "?pty=0") as shell:
        assert shell.texts[0]["mode"] == "pipe"
        shell.type("echo out; echo err >&2; tty; echo again\n")
        shell.until(rb"out\nnot a tty\nagain\n")
        while shell.errors != b"err\n":
            assert shell.read()
        shell.type("exec <&-; echo closed; sleep 1000\n")
        shell.until(rb"closed\n")
        shell.type("nobody reads this")
        assert shell.wait_for_text("error")["code"] == "STDIN_WRITE_FAILED"
        shell.say(type="signal", signal="SIGKILL")
        shell.rest()
        assert shell.texts[-1] == {"type": "exit", "exit_code": 137}


def test_one_client_at_a_time(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as first:
        status, body = refused(service, f"/pty/{terminal}/ws")
        assert (status, body["code"]) == (409, "ALREADY_CONNECTED")
        with TerminalClient(service, terminal, "?takeover=1") as second:
            first.rest()
            assert first.closed == (4001, "TAKEN_OVER")
            assert first.texts[-1]["code"] == "TAKEN_OVER"
            second.type("echo m''ine\n")
            second.until(rb"mine\r\n")
            assert refused(service, f"/pty/{terminal}/ws")[0] == 409
    # Its going is known here before it is known there.
    with TerminalClient(service, terminal, "?takeover=1"):
        pass


def test_a_takeover_from_a_client_that_reads_nothing(service: RunningService, client: httpx.Client) -> None:
    terminal = new_terminal(client, command="yes 0123456789; read -r _")
    # Nobody reads from the first.
    with (
        TerminalClient(service, terminal, max_queue=1, close_timeout=1),
        TerminalClient(service, terminal, "?takeover=1") as second,
    ):
        second.until(rb"0123456789")
    assert client.delete(f"/pty/{terminal}").status_code == 200


def test_what_is_not_there(service: RunningService, client: httpx.Client) -> None:
    for method in ("GET", "DELETE"):
        answer = client.request(method, "/pty/pty_none")
        assert (answer.status_code, answer.json()["code"]) == (404, "CONTEXT_NOT_FOUND")
    status, body = refused(service, "/pty/pty_none/ws")
    assert (status, body["code"]) == (404, "CONTEXT_NOT_FOUND")


def test_bad_requests(service: RunningService, client: httpx.Client, terminal: str) -> None:
    assert client.post("/pty").status_code == 201
    for body in ({"command": 1}, {"cwd": "a\0b"}, {"command": "a\0b"}, {"cwd": "$NOT_SET_AT_ALL"}):
        answer = client.post("/pty", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert client.post("/pty", json={"cwd": "/proc/none"}).json()["code"] == "RUNTIME_ERROR"
    assert client.post("/pty", content=b"{}").status_code == 415
    status, body = refused(service, f"/pty/{terminal}/ws?since=-1")
    assert (status, body["code"]) == (400, "INVALID_REQUEST_BODY")


def test_a_folder_that_went_away(service: RunningService, client: httpx.Client, tmp_path: Path) -> None:
    terminal = new_terminal(client, cwd=str(tmp_path / "here"))
    (tmp_path / "here").rmdir()
    with connect(f"ws://{service.authority}/pty/{terminal}/ws") as socket:
        assert '"code":"START_FAILED"' in str(socket.recv(30))
        with pytest.raises(Exception, match="1011"):
            socket.recv(30)
    client.delete(f"/pty/{terminal}")


def test_a_lost_connection_changes_nothing_and_loses_nothing(service: RunningService, terminal: str) -> None:
    first = TerminalClient(service, terminal)
    first.type("V=kept; echo re''ady\n")
    first.until(rb"ready\r\n.*" + PROMPT)
    first.vanish()
    with TerminalClient(service, terminal, f"?takeover=1&since={first.offset}") as second:
        assert second.replay is None
        second.type("echo $V\n")
        second.until(rb"[\r\n]kept\r\n")
    with TerminalClient(service, terminal, "?takeover=1") as third:
        assert third.replay is not None
        assert third.replay[0] == 0
        third.until(rb"ready\r\n.*kept\r\n")


def test_three_mebibytes_come_byte_by_byte_the_same_live_and_replayed(
    service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    size = 3 * 1024 * 1024
    whole = os.urandom(size)
    (tmp_path / "bytes").write_bytes(whole)
    terminal = new_terminal(client, command=f"stty raw -echo; cat {tmp_path}/bytes; read -r _")
    with TerminalClient(service, terminal) as live:
        while live.offset < size:
            assert live.read()
        assert hashlib.sha256(live.screen).digest() == hashlib.sha256(whole).digest()
    kept = 1024 * 1024
    for since in (0, size - kept - 1, size - kept, size - kept + 1, size - 1):
        with TerminalClient(service, terminal, f"?takeover=1&since={since}") as again:
            start = max(since, size - kept)
            assert again.replay == (start, whole[start:])
    with TerminalClient(service, terminal, f"?takeover=1&since={size}") as again:
        assert again.replay is None
    client.delete(f"/pty/{terminal}")


def test_a_slow_reader_holds_the_program_up_and_the_service_stays_small(
    service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    memory = psutil.Process(service.process.pid).memory_info
    script = f"stty raw -echo; head -c 40000000 /dev/urandom | tee {tmp_path}/copy; sleep 1000"
    terminal = new_terminal(client, command=script)
    before = memory().rss
    with TerminalClient(service, terminal, max_queue=1) as slow:
        while slow.offset < 40_000_000:
            assert slow.read()
            if slow.frames % 100 == 0:
                # No further ahead than what fits into the buffers on the way.
                assert client.get(f"/pty/{terminal}").json()["output_offset"] - slow.offset < 20_000_000
        assert memory().rss - before < 32_000_000
        assert hashlib.sha256(slow.screen).digest() == hashlib.sha256((tmp_path / "copy").read_bytes()).digest()
    client.delete(f"/pty/{terminal}")


def test_reattaching_after_the_exit_starts_a_new_shell(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.type("echo pid=$$=; exit 3\n")
        first = shell.until(rb"[\r\n]pid=(\d+)=")[1]
        shell.rest()
        assert shell.texts[-1]["exit_code"] == 3
    with TerminalClient(service, terminal, f"?since={shell.offset}") as shell:
        shell.type("echo pid=$$=\n")
        assert shell.until(rb"[\r\n]pid=(\d+)=")[1] != first


def test_deleting_ends_everything_and_says_so(service: RunningService, client: httpx.Client, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.type("sleep 1001 & (trap '' HUP; sleep 1002) & setsid sh -c 'echo aw''ay=$$=; exec sleep 1003' &\n")
        away = psutil.Process(int(shell.until(rb"away=(\d+)=")[1]))
        shell.type("echo pid=$$=\n")
        leader = psutil.Process(int(shell.until(rb"[\r\n]pid=(\d+)=")[1]))
        family = [leader, away, *leader.children(recursive=True)]
        assert len(family) >= 4
        assert client.delete(f"/pty/{terminal}").status_code == 200
        shell.rest()
        assert shell.texts[-1]["code"] == "SESSION_GONE"
        assert shell.closed == (1001, "SESSION_GONE")
    eventually(lambda: all(is_gone(process.pid) for process in family))
    assert client.get(f"/pty/{terminal}").status_code == 404


def test_terminals_end_with_the_service(tmp_path: Path) -> None:
    with running_service(tmp_path, max_terminals=2) as service, service.client() as client:
        attached, left_alone = new_terminal(client), new_terminal(client)
        answer = client.post("/pty", json={})
        assert (answer.status_code, answer.json()["code"]) == (429, "LIMIT_REACHED")
        with TerminalClient(service, left_alone) as shell:
            shell.type("echo pid=$$=\n")
            abandoned = psutil.Process(int(shell.until(rb"[\r\n]pid=(\d+)=")[1]))
        with TerminalClient(service, attached) as shell:
            shell.type("(trap '' HUP; sleep 1000) & echo pid=$$=\n")
            leader = psutil.Process(int(shell.until(rb"[\r\n]pid=(\d+)=")[1]))
            family = [abandoned, leader, *leader.children(recursive=True)]
            service.stop()
            shell.rest()
            assert shell.texts[-1]["code"] == "SESSION_GONE"
    eventually(lambda: all(is_gone(process.pid) for process in family))


def test_web_pages_and_strangers_are_refused(service: RunningService, terminal: str, tmp_path: Path) -> None:
    path = f"/pty/{terminal}/ws"
    status, body = refused(service, path, origin="https://elsewhere.test")
    assert (status, body["code"]) == (403, "FORBIDDEN")
    with running_service(tmp_path, access_token="sesame") as guarded:
        assert refused(guarded, "/pty/pty_none/ws")[0] == 401
        assert refused(guarded, "/pty/pty_none/ws", additional_headers={"X-EXECD-ACCESS-TOKEN": "sesame"})[0] == 404
    assert '"level": "error"' not in guarded.log_file.read_text()
