"""Commands that are stopped: by a limit, by a client, by the end of the service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx
import psutil
import pytest

from tests.live.commanding import command, commanding, exit_of, in_background, lines, log_of, status_of
from tests.live.reading import Event, Stream, fetch, says, text_of
from tests.live.waiting import eventually, is_gone
from tests.running_service import running_service

# Prints the pids of a tree: a child, one in a session of its own, and one whose parent is gone.
TREE = "sleep 600 & echo $!; setsid sleep 600 & echo $!; (setsid sleep 600 & echo $!); echo ready; "
IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 600; done"


def pids(stream: Stream) -> list[int]:
    """The pids that TREE prints, as soon as they are all there."""
    stream.until(says("ready"))
    return [int(text) for text in lines(stream.seen) if text.isdecimal()]


def all_gone(found: list[int]) -> Callable[[], bool]:
    """Whether all of these processes have ended."""
    return lambda: all(map(is_gone, found))


class TestTimeLimit:
    def test_the_whole_tree_is_killed(self, client: httpx.Client) -> None:
        with commanding(client, TREE + "wait", timeout=2500) as stream:
            found = pids(stream)
            events = stream.rest()
        assert exit_of(events) == -1
        assert events[-1]["error"]["traceback"] == ["the command exceeded its time limit of 2.5 s and was killed"]
        eventually(all_gone(found))
        record = client.get(f"/code/executions/{stream.execution_id}").json()
        assert (record["status"], record["reason"]) == ("failed", "timeout")

    def test_one_that_is_deaf_to_signals_is_killed_too(self, client: httpx.Client) -> None:
        assert exit_of(command(client, IGNORES_TERM, timeout=300)) == -1

    def test_it_holds_in_the_background_too(self, client: httpx.Client) -> None:
        command_id = in_background(client, "echo before; sleep 600", timeout=1500)
        eventually(lambda: not status_of(client, command_id)["running"])
        assert status_of(client, command_id)["exit_code"] == -1
        assert "time limit of 1.5 s" in status_of(client, command_id)["error"]
        assert log_of(client, command_id)[0] == "before\n"

    @pytest.mark.parametrize("timeout", [0, 60_000, 2**53, 10**400])
    def test_one_that_is_not_met_changes_nothing(self, client: httpx.Client, timeout: int) -> None:
        assert lines(command(client, "sleep 0.1; echo done", timeout=timeout)) == ["done"]


class TestInterrupt:
    @pytest.mark.parametrize("path", ["/command", "/code"])
    def test_everything_ends_and_the_answer_waits_for_it(self, client: httpx.Client, path: str) -> None:
        with commanding(client, TREE + "wait") as stream:
            found = pids(stream)
            command_id = stream.seen[0]["text"]
            answer = client.delete(path, params={"id": command_id})
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["EXECD-INTERRUPT-RUNG"] == "terminate"
            assert not status_of(client, command_id)["running"]
            events = stream.rest()
        assert exit_of(events) == -1
        eventually(all_gone(found))
        assert client.get(f"/code/executions/{command_id}").json()["status"] == "cancelled"

    def test_a_command_may_end_in_its_own_way(self, client: httpx.Client) -> None:
        with commanding(client, "trap 'echo cleaned; exit 0' TERM; echo ready; sleep 600 & wait") as stream:
            stream.until(says("ready"))
            client.delete("/command", params={"id": stream.execution_id})
            events = stream.rest()
        assert lines(events) == ["ready", "cleaned"]
        assert exit_of(events) == -1

    @pytest.mark.parametrize("line", [IGNORES_TERM, "echo ready; trap '' TERM; kill -STOP $$"])
    def test_one_that_does_not_listen_is_killed(self, client: httpx.Client, line: str) -> None:
        with commanding(client, line) as stream:
            stream.until(says("ready"))
            answer = client.delete("/command", params={"id": stream.execution_id})
            assert exit_of(stream.rest()) == -1
        assert answer.headers["EXECD-INTERRUPT-RUNG"] in ("terminate", "kill")

    def test_a_stopped_one_ends_politely(self, client: httpx.Client) -> None:
        with commanding(client, "trap 'echo cleaned; exit 0' TERM; echo $$ ready; kill -STOP $$; wait") as stream:
            pid = int(stream.until(says("ready"))["text"].split()[0])
            eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
            answer = client.delete("/command", params={"id": stream.execution_id})
            assert lines(stream.rest())[1:] == ["cleaned"]
        assert answer.headers["EXECD-INTERRUPT-RUNG"] == "terminate"

    def test_one_in_the_background(self, client: httpx.Client) -> None:
        command_id = in_background(client, "echo ready; sleep 600")
        eventually(lambda: log_of(client, command_id)[0] == "ready\n")
        client.delete("/command", params={"id": command_id}).raise_for_status()
        assert status_of(client, command_id)["running"] is False

    @pytest.mark.parametrize("path", ["/command", "/code"])
    def test_nobody_is_there(self, client: httpx.Client, path: str) -> None:
        answer = client.delete(path, params={"id": "0" * 32})
        assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")

    @pytest.mark.parametrize("path", ["/command", "/code"])
    def test_it_has_ended_already(self, client: httpx.Client, path: str) -> None:
        command_id = command(client, "true")[0]["text"]
        answer = client.delete(path, params={"id": command_id})
        assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")
        assert "ended already" in answer.json()["message"]

    def test_no_id(self, client: httpx.Client) -> None:
        answer = client.delete("/command")
        assert (answer.status_code, answer.json()["code"]) == (400, "MISSING_QUERY")


class TestHangingUp:
    def test_the_command_goes_on_and_its_events_are_kept(self, client: httpx.Client, tmp_path: Path) -> None:
        line = "echo first; until [ -e go ]; do sleep 0.02; done; echo second; echo third"
        with commanding(client, line, cwd=str(tmp_path)) as stream:
            last = stream.until(says("first"))
        (tmp_path / "go").touch()
        rest = fetch(client, stream.execution_id, int(last["id"]))
        assert text_of(rest) == "second\nthird\n"
        assert rest[-1]["exit_code"] == 0
        everything = fetch(client, stream.execution_id)
        assert [event["seq"] for event in everything] == list(range(1, len(everything) + 1))
        assert text_of(everything) == "first\nsecond\nthird\n"

    def test_any_id_of_a_stream_can_be_resumed_after(self, client: httpx.Client) -> None:
        with commanding(client, "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done; exit 1") as stream:
            seen = stream.rest()
        for place, event in enumerate(seen):
            if "id" in event:
                before = "".join(f"{text}\n" for text in lines(seen[: place + 1]))
                assert before + text_of(fetch(client, stream.execution_id, int(event["id"]))) == "1\n2\n3\n4\n5\n"


class TestTheServiceEnds:
    def test_every_command_ends_with_it_and_all_that_any_of_them_started(self, tmp_path: Path) -> None:
        with running_service(tmp_path, keep_executions=1) as service, service.client() as client:
            found: list[int] = []
            for end in ("exit 0", "exit 1"):
                found += [int(text) for text in lines(command(client, TREE + end)) if text.isdecimal()]
            heard: list[Event] = []
            with commanding(client, TREE + IGNORES_TERM) as stream:
                found += pids(stream)
                background_id = in_background(client, TREE + "wait")
                eventually(lambda: "ready" in log_of(client, background_id)[0])
                found += [int(text) for text in log_of(client, background_id)[0].split() if text.isdecimal()]
                assert len(found) == 12
                assert not any(map(is_gone, found))
                reader = Thread(target=lambda: heard.extend(stream.rest()))
                reader.start()
                service.stop()
                reader.join()
            eventually(all_gone(found))
        assert heard[-1]["type"] == "error"
        assert heard[-1]["error"]["ename"] == "CommandExecError"
