"""A client of the service: what the activities of one of them work with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from soak.answers import same
from tests.live.reading import SUCCEEDED, Event, Stream, end_of, run
from tests.running_service import RunningService

# Streams say something every three seconds; what is silent for so long hangs.
_PATIENCE = httpx.Timeout(60)


@dataclass(frozen=True)
class Sandbox:
    """A sandbox of an activity's own, with a client for execd's API of it."""

    id: str
    base: str
    http: httpx.Client


class Caller:
    """One client. `context` is its own Python context in the default sandbox, which lives as long as the soak: what a
    kernel leaks shows there. Everything else an activity makes for itself, and removes."""

    def __init__(self, service: RunningService, number: int, chance: random.Random) -> None:
        self.service = service
        self.number = number
        self.chance = chance
        self.http = service.client(timeout=_PATIENCE)
        told = self.http.get("/v1/capabilities").raise_for_status().json()
        self.bounds_memory = str(told["limits"]["memory"]).startswith("cgroup")
        self.pauses = bool(told["pause"])
        self.context = self.new_context()
        self.printed("kept = 'still here'")

    def hang_up(self) -> None:
        """Close its connections; the next request opens new ones."""
        self.http.close()
        self.http = self.service.client(timeout=_PATIENCE)

    def word(self) -> str:
        """A text that no other call has."""
        return f"c{self.number}_{self.chance.getrandbits(48):012x}"

    def run(self, code: str, **asked: Any) -> list[Event]:
        """The events of code in its own context."""
        return run(self.http, code, **{"id": self.context, **asked})

    def printed(self, code: str) -> str:
        """What such code prints, which must succeed."""
        return printed(self.run(code))

    def new_context(self, http: httpx.Client | None = None) -> str:
        """The id of a new Python context."""
        answer = (http or self.http).post("/code/context", json={"language": "python"})
        same(answer.status_code, 200, f"POST /code/context ({answer.text})")
        return str(answer.json()["id"])

    @contextmanager
    def another_context(self) -> Iterator[str]:
        """A context for one activity, which may be hurt."""
        made = self.new_context()
        try:
            yield made
        finally:
            answer = self.http.delete(f"/code/contexts/{made}")
        same(answer.status_code, 200, "DELETE of a context")

    @contextmanager
    def sandbox(self, **asked: Any) -> Iterator[Sandbox]:
        """A sandbox for one activity, which may have deleted it."""
        answer = self.http.post("/v1/sandboxes", json={"template": "code-interpreter", **asked})
        same(answer.status_code, 201, f"POST /v1/sandboxes ({answer.text})")
        made = str(answer.json()["id"])
        base = f"/v1/sandboxes/{made}/proxy/44772"
        try:
            with httpx.Client(base_url=f"{self.service.url}{base}", timeout=_PATIENCE) as http:
                yield Sandbox(made, base, http)
        finally:
            with suppress(httpx.HTTPError):
                self.http.delete(f"/v1/sandboxes/{made}")


def printed(events: list[Event]) -> str:
    """What a run printed, which must have succeeded."""
    same(end_of(events), SUCCEEDED, "how a run ended")
    return "".join(event["text"] for event in events if event["type"] == "stdout")


def seqs_without_gaps(events: list[Event]) -> None:
    """Every event of a journal is there, once, in order."""
    same([event["seq"] for event in events], list(range(1, len(events) + 1)), "the seqs of a journal")


def answer_input(http: httpx.Client, stream: Stream, value: str) -> None:
    """Answer what a run asks for."""
    answer = http.post(f"/code/executions/{stream.execution_id}/input", json={"value": value})
    same(answer.status_code, 200, f"an input ({answer.text})")
