"""What is known of a request, in whatever order its two ends come."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from execd.kernel.messages import Message
from execd.kernel.request import PendingRequest


def message(kind: str, **content: Any) -> Message:
    return Message(kind, "m1", json.dumps(content).encode())


class Watched:
    """A request, and what it told."""

    def __init__(self) -> None:
        self.emitted: list[str] = []
        self.changes = 0
        self.request = PendingRequest("m1", lambda found: self.emitted.append(found.type), self._count)

    def _count(self) -> None:
        self.changes += 1

    def receive(self, *messages: Message) -> Watched:
        for each in messages:
            self.request.receive(each)
        return self


REPLY = message("execute_reply", status="ok", payload=[])
IDLE = message("status", execution_state="idle")
BUSY = message("status", execution_state="busy")


@pytest.mark.parametrize(
    ("messages", "half_ended", "ended", "changes"),
    [
        ([], False, False, 0),
        ([BUSY], False, False, 0),
        ([BUSY, REPLY], True, False, 1),
        ([BUSY, IDLE], True, False, 1),
        ([BUSY, REPLY, IDLE], False, True, 2),
        ([BUSY, IDLE, REPLY], False, True, 2),
    ],
)
def test_it_has_ended_when_both_ends_are_in(
    messages: list[Message], half_ended: bool, ended: bool, changes: int
) -> None:
    watched = Watched().receive(*messages)
    assert (watched.request.half_ended, watched.request.ended, watched.changes) == (half_ended, ended, changes)


@pytest.mark.parametrize("first", [message("execute_input", code="1"), message("stream", name="stdout", text="x")])
def test_it_has_begun_with_the_first_message_but_busy(first: Message) -> None:
    watched = Watched().receive(BUSY)
    assert (watched.request.begun, watched.changes) == (False, 0)
    watched.receive(first, first)
    assert (watched.request.begun, watched.changes) == (True, 1)


@pytest.mark.parametrize(
    "order", list(itertools.permutations([REPLY, IDLE, message("stream", name="stdout", text="x")]))
)
def test_events_are_emitted_before_and_after_the_ends(order: tuple[Message, ...]) -> None:
    watched = Watched().receive(*order)
    assert watched.request.ended
    assert watched.emitted == ["stdout"]


@pytest.mark.parametrize(
    ("payload", "exits"),
    [
        (None, False),
        ([], False),
        ([{"source": "page"}], False),
        ([{"source": "ask_exit", "keepkernel": False}], True),
        ([{"source": "ask_exit", "keepkernel": True}], False),
        ([{"source": "page"}, {"source": "ask_exit"}], True),
    ],
)
def test_a_reply_tells_whether_the_kernel_exits(payload: object, exits: bool) -> None:
    watched = Watched().receive(message("execute_reply", status="ok", payload=payload))
    assert watched.request.kernel_exits is exits
    assert watched.request.reply == {"status": "ok", "payload": payload}


@pytest.mark.parametrize(
    ("messages", "begun"),
    [
        ([], False),
        ([BUSY], False),
        ([BUSY, message("execute_input", code="1")], True),
        ([BUSY, message("stream", name="stdout", text="x")], True),
    ],
)
def test_it_has_begun_with_the_first_message_about_the_code(messages: list[Message], begun: bool) -> None:
    watched = Watched().receive(*messages, *messages)
    assert (watched.request.begun, watched.changes) == (begun, int(begun))


@pytest.mark.parametrize("payload", [["ask_exit"], 7, "ask_exit", {"source": "ask_exit"}])
def test_a_malformed_payload_does_not_hide_the_reply(payload: object) -> None:
    watched = Watched().receive(message("execute_reply", status="ok", payload=payload), IDLE)
    assert watched.request.ended
    assert watched.changes == 2
    assert not watched.request.kernel_exits
