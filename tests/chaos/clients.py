"""Clients that go on whatever becomes of the service: each runs code in a context of its own, and resumes what it was
reading when its connection broke."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx

from tests.live.reading import Event, Stream, body_of, following, without_pings

LINES = 40
CODE = f"import time\nfor number in range({LINES}):\n    print(number, flush=True)\n    time.sleep(0.002)"
# What it runs in is no more, is just being replaced, or came to its end while it was being made.
_LATER = (404, 410, 500, 503)
_BROKEN = (httpx.TransportError, httpx.StreamError)


class House:
    """Where the service is, and whether it is there at all."""

    def __init__(self) -> None:
        self._up = threading.Event()
        self._url = ""

    def opened(self, url: str) -> None:
        """It serves there now."""
        self._url = url
        self._up.set()

    def closed(self) -> None:
        """It is about to be killed."""
        self._up.clear()

    def client(self) -> httpx.Client:
        """A client for it, once it is there."""
        assert self._up.wait(60), "the service did not come back"
        return httpx.Client(base_url=self._url, timeout=httpx.Timeout(30))


@dataclass
class Run:
    """What a client has seen of one execution, in the order in which it came."""

    execution_id: str
    events: list[Event] = field(default_factory=list)

    @property
    def last_seq(self) -> int:
        """The seq of the newest event."""
        return int(self.events[-1]["seq"]) if self.events else 0

    @property
    def over(self) -> bool:
        """Whether its end has come."""
        return bool(self.events) and self.events[-1]["type"] == "execution_complete"

    def read(self, stream: Stream) -> None:
        """Note what comes, as long as it does."""
        for event in stream.events:
            self.events += without_pings([event])


class Client(threading.Thread):
    """Runs code `count` times. `runs` are those whose beginning it has been told."""

    def __init__(self, house: House, count: int) -> None:
        super().__init__(daemon=True)
        self.runs: list[Run] = []
        self.contexts: list[str] = []
        self.failure: BaseException | None = None
        self._house = house
        self._count = count

    def run(self) -> None:
        """Do it all."""
        try:
            while len(self.runs) < self._count:
                self._begin()
                while self.runs and not self.runs[-1].over:
                    self._go_on(self.runs[-1])
        except BaseException as failure:  # noqa: BLE001  # told by the test
            self.failure = failure

    def _begin(self) -> None:
        try:
            with self._house.client() as client:
                body = body_of(CODE, id=self._context(client))
                with client.stream("POST", "/code", json=body) as answer:
                    if answer.status_code in _LATER:
                        return
                    assert answer.status_code == 200, answer.read()
                    stream = Stream(answer)
                    self.runs.append(Run(stream.execution_id))
                    self.runs[-1].read(stream)
        except _BROKEN:
            return

    def _context(self, client: httpx.Client) -> str:
        known = self.contexts[-1] if self.contexts else None
        if known is None or client.get(f"/code/contexts/{known}").status_code == 404:
            made = client.post("/code/context", json={"language": "python"})
            while made.status_code in _LATER:
                made = client.post("/code/context", json={"language": "python"})
            assert made.status_code == 200, made.text
            self.contexts.append(made.json()["id"])
        return self.contexts[-1]

    def _go_on(self, run: Run) -> None:
        try:
            with self._house.client() as client, following(client, run.execution_id, run.last_seq) as stream:
                run.read(stream)
        except _BROKEN:
            return


def numbers(events: list[Event]) -> Iterator[list[int]]:
    """The numbers that a run has printed, those between two restarts of the service each by themselves. A line that a
    restart cut is in none."""
    text: list[str] = [""]
    for event in events:
        if event["type"] == "stdout":
            text[-1] += event["text"]
        if event["type"] == "service_restarted":
            text.append("")
    for place, piece in enumerate(text):
        lines = piece.split("\n")
        # The first may have begun, and the last may have ended, in what is missing.
        whole = lines[1 if place else 0 : -1]
        yield [int(line) for line in whole if line]


def holes(events: list[Event]) -> list[Any]:
    """The types of the events before which seqs are missing."""
    return [after["type"] for before, after in pairwise(events) if after["seq"] != before["seq"] + 1]
