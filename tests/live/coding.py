"""Running code over Nullspace's API, in both of its generations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.live.generations import Generation

Event = dict[str, Any]


class Coding:
    """A sandbox of a generation in which code is run."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.client = generation.client
        self.id = generation.create()["id"]

    def url(self, below: str = "") -> str:
        """A path of its code."""
        return self.generation.url(self.id, f"/code{below}")

    def post(self, below: str, body: Any = None, /, **options: Any) -> httpx.Response:
        """A call."""
        return self.client.post(self.url(below), json={} if body is None else body, **options)

    def get(self, below: str, /, **query: Any) -> httpx.Response:
        """A call."""
        return self.client.get(self.url(below), params=query)

    def context(self, **asked: Any) -> str:
        """A new context."""
        answer = self.post("/contexts", asked)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def start(self, context_id: str, code: str, **asked: Any) -> dict[str, Any]:
        """A new run."""
        answer = self.post("/runs", {"code": code, "context_id": context_id, **asked})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, run_id: str) -> dict[str, Any]:
        """A run, once it has ended."""
        found: dict[str, Any] = self.get(f"/runs/{run_id}", wait=60).json()
        assert found["status"] not in ("queued", "running")
        return found

    def run(self, context_id: str, code: str, **asked: Any) -> dict[str, Any]:
        """A run that has ended."""
        return self.ended(self.start(context_id, code, **asked)["id"])

    def held(self, context_id: str) -> dict[str, Any]:
        """A run whose code runs, and does until it is stopped."""
        run = self.start(context_id, "kept = 5\nprint('on', flush=True)\nwhile True: pass")
        with self.events(run["id"]) as events:
            assert next(events)["type"] == "stdout"
        return run

    @contextmanager
    def executing(self, code: str, headers: dict[str, str] | None = None, **asked: Any) -> Iterator[Streamed]:
        """A run that is streamed while the block runs."""
        body = {"code": code, **asked}
        with self.client.stream("POST", self.url("/execute"), json=body, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            yield Streamed(answer)

    @contextmanager
    def events(self, run_id: str, headers: dict[str, str] | None = None, **query: Any) -> Iterator[Streamed]:
        """The same, of a run that there is."""
        with self.client.stream("GET", self.url(f"/runs/{run_id}/events"), params=query, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            yield Streamed(answer)

    def execute(self, code: str, **asked: Any) -> list[Event]:
        """All events of a run."""
        with self.executing(code, **asked) as events:
            return list(events)


class Streamed:
    """The events of a stream, as they come; `comments` counts the other lines that are not empty."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments = 0
        self._lines = answer.iter_lines()

    @property
    def run_id(self) -> str:
        """The id of the run, as the headers tell it."""
        return self.answer.headers["EXECD-EXECUTION-ID"]

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        for line in self._lines:
            if line.startswith("data: "):
                event: Event = json.loads(line.removeprefix("data: "))
                return event
            self.comments += bool(line)
        raise StopIteration

    def until_comments(self, number: int) -> None:
        """Return when so many comments have come. Fails when an event comes first."""
        while self.comments < number:
            line = next(self._lines)
            assert not line or line == ": keepalive", line
            self.comments += bool(line)


def texts(events: list[Event], kind: str) -> str:
    """All text on one of the two streams."""
    return "".join(event["text"] for event in events if event["type"] == kind)


def types(events: list[Event]) -> list[str]:
    """Their types; several pieces of one output count once."""
    found: list[str] = []
    for event in events:
        if found[-1:] != [event["type"]]:
            found.append(event["type"])
    return found
