"""Reading what a service streams: events as the client sees them, one dict each, with the frame's `id` in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

Event = dict[str, Any]
Wanted = Callable[[Event], bool]


def events_of(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream, as they come. A frame is what an empty line ends; one without an end is none."""
    rest = b""
    for chunk in chunks:
        *frames, rest = (rest + chunk).split(b"\n\n")
        yield from map(event_of, frames)


def event_of(frame: bytes) -> Event:
    """One frame's event; `id` is there if the frame has one."""
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
    event: Event = json.loads(fields.pop(b"data"))
    return event | {name.decode(): value.decode() for name, value in fields.items()}


class Stream:
    """An open stream of events: read up to where a test wants to act, and then the rest. `events` are those to come."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.seen: list[Event] = []
        self.events = events_of(answer.iter_bytes())

    def until(self, wanted: Wanted) -> Event:
        """The next event that is wanted. Fails when the stream ends without one."""
        for event in self.events:
            self.seen.append(event)
            if wanted(event):
                return event
        raise AssertionError(f"the stream ended without it: {self.seen}")

    def first_line(self) -> str:
        """The first line of stdout, as soon as it is whole, without its end."""
        self.until(says("\n"))
        return text_of(self.seen).partition("\n")[0]

    def rest(self) -> list[Event]:
        """All events of the stream, those before included, once it has ended."""
        self.seen.extend(self.events)
        return self.seen

    @property
    def execution_id(self) -> str:
        """The id of the execution, as the headers tell it."""
        return self.answer.headers["EXECD-EXECUTION-ID"]


def body_of(code: str, timeout: int | None = None, allow_stdin: bool = False, **context: str) -> dict[str, Any]:
    """The JSON body of POST /code. Without a context the default one of Python is meant."""
    body: dict[str, Any] = {"code": code, "context": context or {"language": "python"}, "allow_stdin": allow_stdin}
    return body if timeout is None else body | {"timeout": timeout}


@contextmanager
def running(
    client: httpx.Client,
    code: str,
    timeout: int | None = None,
    allow_stdin: bool = False,
    envs: dict[str, str] | None = None,
    **context: str,
) -> Iterator[Stream]:
    """A run that is under way. Leaving the block closes the connection, read to its end or not."""
    body = body_of(code, timeout, allow_stdin, **context) | ({"envs": envs} if envs else {})
    with client.stream("POST", "/code", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        yield Stream(answer)


def run(
    client: httpx.Client,
    code: str,
    timeout: int | None = None,
    allow_stdin: bool = False,
    envs: dict[str, str] | None = None,
    **context: str,
) -> list[Event]:
    """Every event of a run but the pings, once it has ended."""
    with running(client, code, timeout, allow_stdin, envs, **context) as stream:
        return without_pings(stream.rest())


@contextmanager
def following(client: httpx.Client, execution_id: str, after: int = 0, how: str = "after_seq") -> Iterator[Stream]:
    """An execution's events after the seq `after`, which is sent as `after_seq` or as the header `Last-Event-ID`."""
    path, cursor = f"/code/executions/{execution_id}/events", {how: str(after)}
    asked: dict[str, Any] = {"params": cursor} if how == "after_seq" else {"headers": cursor}
    with client.stream("GET", path, **asked) as answer:
        assert answer.status_code == 200, answer.read()
        yield Stream(answer)


def fetch(client: httpx.Client, execution_id: str, after: int = 0, how: str = "after_seq") -> list[Event]:
    """An execution's events after the seq `after` but for the pings, once the stream has ended."""
    with following(client, execution_id, after, how) as stream:
        return without_pings(stream.rest())


def is_a(kind: str) -> Wanted:
    """Whether an event is of this type."""
    return lambda event: event["type"] == kind


def says(text: str) -> Wanted:
    """Whether an event is the piece of stdout that completes this text, in however many pieces it came."""
    heard = ""

    def wanted(event: Event) -> bool:
        nonlocal heard
        if event["type"] != "stdout":
            return False
        heard += event["text"]
        return text in heard

    return wanted


def without_pings(events: Iterable[Event]) -> list[Event]:
    """The events that stand in the journal."""
    return [event for event in events if event["type"] != "ping"]


def of_type(events: Iterable[Event], kind: str) -> list[Event]:
    """The events of one type."""
    return [event for event in events if event["type"] == kind]


def kinds(events: Iterable[Event]) -> list[str]:
    """The types, in order; several pieces of one output count once, for how a kernel cuts it is its own affair."""
    found: list[str] = []
    for event in without_pings(events):
        if not (event["type"] in ("stdout", "stderr") and found[-1:] == [event["type"]]):
            found.append(event["type"])
    return found


def text_of(events: Iterable[Event], kind: str = "stdout") -> str:
    """All text on one of the two streams."""
    return "".join(event["text"] for event in of_type(events, kind))


def end_of(events: list[Event]) -> tuple[str, str | None]:
    """Status and reason of the terminal event, which must be there once and be the last."""
    assert [event["type"] for event in events].count("execution_complete") == 1, events
    assert events[-1]["type"] == "execution_complete", events
    return events[-1]["status"], events[-1].get("reason")


SUCCEEDED = ("succeeded", None)
CANCELLED = ("cancelled", None)
