"""Bash sessions over HTTP: made, run in, interrupted, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.reading import Event, Stream, is_a, kinds, of_type, run, says, text_of, without_pings
from tests.live.waiting import eventually, is_gone

LONG = {
    "sleep": "echo on; sleep 600",
    "loop": "echo on; while :; do :; done",
}
STUBBORN = {
    "child": "(trap '' INT; echo on; sleep 600)",
    "shell": "trap '' INT; echo on; sleep 600; while :; do :; done",
}


class Session:
    """One session of a service."""

    def __init__(self, client: httpx.Client, **body: str) -> None:
        self.client = client
        answer = client.post("/session", json=body) if body else client.post("/session")
        assert answer.status_code == 200, answer.text
        self.id: str = answer.json()["session_id"]

    @contextmanager
    def running(self, command: str, **body: Any) -> Iterator[Stream]:
        """A run under way."""
        with self.client.stream("POST", f"/session/{self.id}/run", json={"command": command, **body}) as answer:
            assert answer.status_code == 200, answer.read()
            yield Stream(answer)

    def run(self, command: str, **body: Any) -> list[Event]:
        """All that a run says, but pings."""
        with self.running(command, **body) as stream:
            return without_pings(stream.rest())

    def lines(self, command: str, **body: Any) -> list[str]:
        """The lines of a run that succeeds."""
        events = self.run(command, **body)
        assert events[-1]["type"] == "execution_complete", events
        return [event["text"] for event in of_type(events, "stdout")]

    def delete(self) -> httpx.Response:
        """Delete it."""
        return self.client.delete(f"/session/{self.id}")


@pytest.fixture
def session(client: httpx.Client) -> Iterator[Session]:
    made = Session(client)
    yield made
    made.delete()


@pytest.fixture
def hasty(tight: httpx.Client) -> Iterator[Session]:
    """One of a service that loses patience soon."""
    made = Session(tight)
    yield made
    made.delete()


def code_of(events: list[Event]) -> int:
    """The exit code, as clients of commands read it; the one terminal event is the last."""
    ends = [event for event in events if event["type"] in ("error", "execution_complete")]
    assert ends == events[-1:], events
    return int(ends[0]["error"]["evalue"]) if ends[0]["type"] == "error" else 0


def test_a_run_is_told_line_by_line_with_one_end(session: Session) -> None:
    events = session.run("echo a; echo; printf 'b\\rc'; echo d >&2")
    assert events[0]["type"] == "init"
    assert events[0]["text"] == session.id
    assert [event["text"] for event in of_type(events, "stdout")] == ["a", "\n", "b", "c"]
    assert [event["text"] for event in of_type(events, "stderr")] == ["d"]
    assert code_of(events) == 0


def test_state_lasts_over_runs_and_exits(session: Session) -> None:
    session.run("x=5; export y=6; f() { echo $x$y; }; alias g=f; cd /usr; shopt -s nullglob")
    assert session.lines("g; pwd") == ["56", "/usr"]
    failed = session.run("echo before; exit 7")
    assert code_of(failed) == 7
    assert failed[-1]["error"] == {"ename": "CommandExecError", "evalue": "7", "traceback": ["exit status 7"]}
    assert session.lines("echo $?; g; pwd; shopt -q nullglob && echo set") == ["7", "56", "/usr", "set"]


def test_a_state_that_is_lost_is_told(session: Session) -> None:
    session.run("x=5")
    lost = session.run("kill -9 $$")
    assert code_of(lost) == -1
    assert "KernelDied" in lost[-1]["error"]["traceback"][0]
    events = session.run("echo [$x]")
    assert [event["type"] for event in events] == ["init", "context_restarted", "stdout", "execution_complete"]
    assert "SIGKILL" in events[1]["why"]
    assert events[2]["text"] == "[]"
    assert of_type(session.run("exit 3"), "context_restarted") == []
    assert of_type(session.run(":"), "context_restarted") == []


def test_a_run_begins_in_its_folder_and_stays(session: Session, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    assert session.lines("pwd", cwd=str(tmp_path)) == [str(tmp_path)]
    assert session.lines("cd below; pwd") == [f"{tmp_path}/below"]
    assert session.lines("cd - >/dev/null; pwd") == [str(tmp_path)]


@pytest.mark.parametrize("folder", ["/proc/nonexistent", "/etc/passwd", "nonexistent"])
def test_a_folder_that_is_none_is_refused(session: Session, folder: str) -> None:
    answer = session.client.post(f"/session/{session.id}/run", json={"command": "pwd", "cwd": folder})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert "cwd" in answer.json()["message"]


def test_a_relative_folder_is_below_where_the_session_began(client: httpx.Client, tmp_path: Path) -> None:
    session = Session(client, cwd=str(tmp_path / "made"))
    try:
        assert session.lines("mkdir sub; pwd; cd /") == [f"{tmp_path}/made"]
        assert session.lines("pwd", cwd="sub") == [f"{tmp_path}/made/sub"]
        assert session.lines("pwd", cwd=".") == [f"{tmp_path}/made"]
    finally:
        session.delete()


def test_runs_of_one_session_wait_for_each_other(session: Session) -> None:
    with session.running("y=1; echo on; sleep 600") as first:
        first.until(says("on"))
        with session.running("echo y=$y; y=2") as second, session.running("echo y=$y") as third:
            interrupt(session.client, first.execution_id)
            third.rest()
            second.rest()
    assert text_of(second.seen) + text_of(third.seen) == "y=1y=2"


def interrupt(client: httpx.Client, wanted: str) -> tuple[str, str]:
    """Interrupt; the rung and the state that the answer tells."""
    answer = client.delete("/code", params={"id": wanted}).raise_for_status()
    return answer.headers["execd-interrupt-rung"], answer.headers["execd-context-state"]


@pytest.mark.parametrize("what", LONG)
@pytest.mark.parametrize("by", ["session", "execution"])
def test_an_interrupted_run_ends_and_the_state_is_kept(session: Session, what: str, by: str) -> None:
    session.run("x=5")
    with session.running(LONG[what]) as stream:
        stream.until(says("on"))
        rung, state = interrupt(session.client, session.id if by == "session" else stream.execution_id)
        events = without_pings(stream.rest())
    # A shell that is between two commands just then heeds the second one.
    assert (rung in ("interrupt", "nudge", "interrupt_again"), state) == (True, "kept")
    assert code_of(events) != 0
    assert session.lines("echo $x") == ["5"]


@pytest.mark.parametrize("what", STUBBORN)
def test_what_ignores_an_interrupt_ends_all_the_same(session: Session, what: str) -> None:
    session.run("x=5")
    with session.running(STUBBORN[what]) as stream:
        stream.until(says("on"))
        assert interrupt(session.client, stream.execution_id) == ("interrupt_again", "kept")
        stream.rest()
    assert session.lines("echo $x") == ["5"]


def test_what_nothing_else_ends_is_killed_and_the_loss_is_told(hasty: Session) -> None:
    with hasty.running("trap '' INT RTMAX; echo on; while :; do :; done") as stream:
        stream.until(says("on"))
        assert interrupt(hasty.client, hasty.id) == ("kill", "lost")
        assert code_of(without_pings(stream.rest())) == -1
    assert [event["type"] for event in hasty.run(":")] == ["init", "context_restarted", "execution_complete"]


@pytest.mark.parametrize("what", LONG)
def test_a_run_that_takes_too_long_is_stopped_and_the_state_is_kept(session: Session, what: str) -> None:
    session.run("x=5")
    events = session.run(LONG[what], timeout=1500)
    assert text_of(events) == "on"
    assert code_of(events) == -1
    assert "1.5 s" in events[-1]["error"]["traceback"][0]
    assert session.lines("echo $x") == ["5"]


def test_a_run_goes_on_when_its_client_hangs_up(session: Session, tmp_path: Path) -> None:
    with session.running(f"echo on; mkfifo {tmp_path}/go; read x <{tmp_path}/go") as stream:
        stream.until(says("on"))
    eventually((tmp_path / "go").exists)
    (tmp_path / "go").write_text("gone on\n")
    assert session.lines("echo $x") == ["gone on"]


def test_deleting_a_session_ends_all_that_it_started(session: Session) -> None:
    [daemon] = session.lines("setsid sleep 600 >/dev/null & echo $!")
    with session.running("echo on; sleep 600 & echo $!; sleep 600") as stream, session.running("echo no") as waiting:
        stream.until(says("on"))
        child = stream.until(is_a("stdout"))["text"]
        assert session.delete().status_code == 200
        assert code_of(without_pings(stream.rest())) == -1
        assert code_of(without_pings(waiting.rest())) == -1
        assert text_of(waiting.seen) == ""
    for pid in (daemon, child):
        eventually(partial(is_gone, int(pid)))
    assert (session.delete().status_code, session.delete().json()["code"]) == (404, "CONTEXT_NOT_FOUND")
    answer = session.client.post(f"/session/{session.id}/run", json={"command": "true"})
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")


def test_an_id_that_is_none_is_not_found(client: httpx.Client) -> None:
    answer = client.delete("/session/none")
    assert (answer.status_code, answer.json()["code"]) == (404, "CONTEXT_NOT_FOUND")
    answer = client.post("/session/none/run", json={"command": "true"})
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")
    assert "none" in answer.json()["message"]


@pytest.mark.parametrize("body", [{"command": ""}, {}, {"command": "a\0b"}, {"command": "true", "timeout": -1}])
def test_a_run_that_makes_no_sense_is_refused(session: Session, body: dict[str, Any]) -> None:
    answer = session.client.post(f"/session/{session.id}/run", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


def test_there_is_a_bound_on_sessions(tight: httpx.Client) -> None:
    made = [Session(tight) for _ in range(3)]
    try:
        refused = tight.post("/session")
        assert refused.status_code in (429, 500, 503), refused.text
        assert made[0].delete().status_code == 200
        made[0] = Session(tight)
    finally:
        for session in made:
            session.delete()


def test_sessions_share_nothing(client: httpx.Client, session: Session) -> None:
    other = Session(client)
    try:
        session.run("x=5; export y=6; cd /; umask 077")
        assert other.lines("echo [$x$y]; umask") == ["[]", "0022"]
        assert other.lines("pwd") != ["/"]
    finally:
        other.delete()


def test_bash_as_a_language_of_code_is_the_same_bash(client: httpx.Client) -> None:
    context_id = client.post("/code/context", json={"language": "bash"}).raise_for_status().json()["id"]
    try:
        assert text_of(run(client, "x=5; f() { echo $x; }; printf 'a\\nb'", id=context_id)) == "a\nb"
        events = run(client, "f; exit 7", id=context_id)
        assert kinds(events) == ["init", "stdout", "status", "error", "execution_complete"]
        assert text_of(events) == "5\n"
        assert (events[-1]["status"], events[-1]["exit_code"]) == ("failed", 7)
        assert text_of(run(client, "f", id=context_id)) == "5\n"
    finally:
        client.delete(f"/code/contexts/{context_id}")


def test_much_output_comes_whole(session: Session) -> None:
    lines = session.lines("seq 1 200000")
    assert lines == [str(number) for number in range(1, 200_001)]
