"""Running commands over HTTP, in the words of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.live.reading import Event, Stream, of_type, without_pings

CURSOR = "EXECD-COMMANDS-TAIL-CURSOR"

# 512 lines of 4 KiB on each stream at once, in pieces that end anywhere, and a tail that is no whole character.
_LONG_LINES = """
import os, threading
def write(fd, letter):
    data = b"".join(b"%04d" % n + letter * 4092 + b"\\n" for n in range(512)) + b"tail\\xf0\\x9f\\x99"
    while data: data = data[os.write(fd, data[:10007]):]
both = [threading.Thread(target=write, args=given) for given in ((1, b"o"), (2, b"e"))]
[thread.start() for thread in both], [thread.join() for thread in both]
"""


@contextmanager
def commanding(client: httpx.Client, line: str | None = None, **body: Any) -> Iterator[Stream]:
    """A command that is under way. Leaving the block closes the connection, read to its end or not."""
    asked = body if line is None else {"command": line, **body}
    with client.stream("POST", "/command", json=asked) as answer:
        assert answer.status_code == 200, answer.read()
        yield Stream(answer)


def command(client: httpx.Client, line: str | None = None, **body: Any) -> list[Event]:
    """Every event of a command but the pings, once it has ended."""
    with commanding(client, line, **body) as stream:
        return without_pings(stream.rest())


def lines(events: list[Event], kind: str = "stdout") -> list[str]:
    """The lines on one of the two streams."""
    return [event["text"] for event in of_type(events, kind)]


def printed(client: httpx.Client, line: str | None = None, **body: Any) -> list[str]:
    """The lines that a command printed, which must succeed."""
    events = command(client, line, **body)
    assert exit_of(events) == 0, events
    return lines(events)


def assert_long_lines_arrive(client: httpx.Client) -> None:
    """Run a command that writes long lines and an unterminated character to both streams: every one must arrive."""
    events = command(client, argv=["python3", "-c", _LONG_LINES])
    for stream, letter in (("stdout", "o"), ("stderr", "e")):
        assert lines(events, stream) == [*(f"{n:04}{letter * 4092}" for n in range(512)), "tail\ufffd"]
    assert exit_of(events) == 0


def exit_of(events: list[Event]) -> int:
    """The exit code, as clients make it out: from the one terminal event, which must be the last."""
    ends = [event for event in events if event["type"] in ("error", "execution_complete")]
    assert ends == events[-1:], events
    if ends[0]["type"] == "execution_complete":
        return 0
    assert ends[0]["error"]["ename"] == "CommandExecError"
    return int(ends[0]["error"]["evalue"])


def refused(client: httpx.Client, line: str | None = None, **body: Any) -> str:
    """Why a command was refused as a bad request."""
    asked = body if line is None else {"command": line, **body}
    answer = client.post("/command", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    return str(answer.json()["message"])


def in_background(client: httpx.Client, line: str | None = None, **body: Any) -> str:
    """Start a command in the background; returns its id."""
    events = command(client, line, background=True, **body)
    assert [event["type"] for event in events] == ["init", "execution_complete"]
    return str(events[0]["text"])


def status_of(client: httpx.Client, command_id: str) -> dict[str, Any]:
    """What GET /command/status says."""
    found: dict[str, Any] = client.get(f"/command/status/{command_id}").raise_for_status().json()
    return found


def log_of(client: httpx.Client, command_id: str, cursor: int = 0) -> tuple[str, int]:
    """A background command's output from an offset on, and the next offset."""
    answer = client.get(f"/command/{command_id}/logs", params={"cursor": cursor}).raise_for_status()
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text, int(answer.headers[CURSOR])
