"""Commands in the background: their status, and their output by offset while they run and afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.live.commanding import CURSOR, command, in_background, log_of, status_of
from tests.live.reading import event_of
from tests.live.waiting import eventually


def ended(client: httpx.Client, command_id: str) -> str:
    """The id again, once the command has ended."""
    eventually(lambda: not status_of(client, command_id)["running"])
    return command_id


class TestTheAnswer:
    def test_it_says_that_the_command_was_accepted(self, client: httpx.Client) -> None:
        with client.stream("POST", "/command", json={"command": "exit 3", "background": True}) as answer:
            frames = answer.read().split(b"\n\n")
        assert frames.pop() == b""
        init, ping, end = map(event_of, frames)
        assert (init["type"], ping["type"], end["type"]) == ("init", "ping", "execution_complete")
        assert init["text"] == answer.headers["EXECD-EXECUTION-ID"]
        assert "exit_code" not in end
        assert answer.headers["content-type"].startswith("text/event-stream")

    def test_only_what_stands_in_the_journal_has_an_id(self, client: httpx.Client) -> None:
        events = command(client, "echo a", background=True)
        assert [event.get("id") for event in events] == ["1", None]

    def test_language_and_code_do_the_same(self, client: httpx.Client) -> None:
        body = {"code": "echo a", "context": {"language": "background-command"}}
        with client.stream("POST", "/code", json=body) as answer:
            command_id = event_of(answer.read().split(b"\n\n")[0])["text"]
        assert log_of(client, ended(client, command_id))[0] == "a\n"


class TestStatus:
    def test_while_it_runs(self, client: httpx.Client, tmp_path: Path) -> None:
        command_id = in_background(client, "until [ -e go ]; do sleep 0.02; done; exit 7", cwd=str(tmp_path))
        status = status_of(client, command_id)
        assert status["running"] is True
        assert not status.keys() & {"exit_code", "finished_at", "error"}
        (tmp_path / "go").touch()
        status = status_of(client, ended(client, command_id))
        assert (status["exit_code"], status["error"]) == (7, "exit status 7")

    def test_a_success(self, client: httpx.Client) -> None:
        status = status_of(client, ended(client, in_background(client, "true")))
        assert status["exit_code"] == 0
        assert "error" not in status


class TestLogs:
    def test_both_streams_are_one_in_the_order_of_writing(self, client: httpx.Client) -> None:
        line = "for i in 1 2 3; do echo o$i; echo e$i >&2; done"
        text, cursor = log_of(client, ended(client, in_background(client, line)))
        assert text == "o1\ne1\no2\ne2\no3\ne3\n"
        assert cursor == len(text)

    def test_they_can_be_followed_by_the_cursor(self, client: httpx.Client, tmp_path: Path) -> None:
        line = "printf 'ü one\\npart'; until [ -e go ]; do sleep 0.02; done; printf 'ial\\r50%%\\rend'"
        command_id = in_background(client, line, cwd=str(tmp_path))
        eventually(lambda: log_of(client, command_id)[0].endswith("part"))
        text, cursor = log_of(client, command_id)
        assert (text, cursor) == ("ü one\npart", len("ü one\npart".encode()))
        assert log_of(client, command_id, cursor) == ("", cursor)
        (tmp_path / "go").touch()
        ended(client, command_id)
        assert log_of(client, command_id, cursor) == ("ial\r50%\rend", cursor + 11)
        assert log_of(client, command_id)[0] == "ü one\npartial\r50%\rend"

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "9" * 30])
    def test_an_odd_cursor_is_the_beginning(self, client: httpx.Client, cursor: str) -> None:
        command_id = ended(client, in_background(client, "echo abc"))
        answer = client.get(f"/command/{command_id}/logs", params={"cursor": cursor})
        assert (answer.text, answer.headers[CURSOR]) == ("abc\n", "4")

    def test_a_cursor_beyond_the_end(self, client: httpx.Client) -> None:
        command_id = ended(client, in_background(client, "echo abc"))
        assert log_of(client, command_id, 100) == ("", 100)

    def test_more_than_one_answer_holds(self, client: httpx.Client) -> None:
        command_id = ended(client, in_background(client, "seq 1 3000000"))
        read, cursor = "", 0
        while True:
            text, after = log_of(client, command_id, cursor)
            if not text:
                break
            read, cursor = read + text, after
        assert read == "".join(f"{number}\n" for number in range(1, 3_000_001))

    def test_what_was_read_while_it_ran_does_not_move_when_the_budget_is_met(
        self, tight: httpx.Client, tmp_path: Path
    ) -> None:
        line = "printf 'begun'; until [ -e go ]; do sleep 0.02; done; seq 1 20000; printf 'end'"
        command_id = in_background(tight, line, cwd=str(tmp_path))
        eventually(lambda: log_of(tight, command_id)[0] == "begun")
        (tmp_path / "go").touch()
        read, running = "begun", True
        while running:
            running = status_of(tight, command_id)["running"]
            read += log_of(tight, command_id, len(read))[0]
        assert log_of(tight, command_id)[0] == read
        assert read.startswith("begun1\n2\n")
        assert "bytes of stdout were left out here]\n" in read
        assert read.endswith("\n19999\n20000\nend")

    def test_a_foreground_command_has_none(self, client: httpx.Client) -> None:
        answer = client.get(f"/command/{command(client, 'echo a')[0]['text']}/logs")
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")

    def test_neither_has_one_that_is_not_there(self, client: httpx.Client) -> None:
        answer = client.get("/command/nobody/logs")
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


def test_a_server_keeps_running_and_is_stopped(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("served")
    serve = "exec python3 -u -m http.server --bind 127.0.0.1 0"
    command_id = in_background(client, serve, cwd=str(tmp_path))
    eventually(lambda: "Serving HTTP" in log_of(client, command_id)[0])
    port = re.findall(r" port (\d+) ", log_of(client, command_id)[0])[0]
    assert httpx.get(f"http://127.0.0.1:{port}/page.txt").text == "served"
    eventually(lambda: "GET /page.txt" in log_of(client, command_id)[0])
    client.delete("/command", params={"id": command_id}).raise_for_status()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/page.txt")
