"""What an adopted kernel's answers make of a request, in whatever order they come."""

from __future__ import annotations

import json
from typing import Any

import pytest

from execd.kernel.inquiry import Inquiry
from execd.kernel.messages import Message
from execd.kernel.request import Followed

REPLY = {"status": "ok", "execution_count": 3}


class Asked:
    """An inquiry about the request `run`; `sent` is what it has asked, `q1` and on."""

    def __init__(self, *, ours: bool) -> None:
        self.request = Followed("run")
        self.sent: list[tuple[str, str]] = []
        self.inquiry = Inquiry(self.request, self._send, ours=ours)
        self.inquiry.begin()

    def hear(self, kind: str, parent: str, **content: Any) -> None:
        """A message of the kernel's."""
        message = Message(kind, parent, json.dumps(content).encode())
        if parent == "run":
            self.request.receive(message)
        self.inquiry.receive(message)

    def _send(self, channel: str, kind: str, _: dict[str, object]) -> str:
        self.sent.append((channel, kind))
        return f"q{len(self.sent)}"


OUTCOME, TOLD, IDLE = "execd_outcome_request", "execd_outcome_reply", {"execution_state": "idle"}


@pytest.mark.parametrize("idle_first", [False, True])
def test_one_that_has_ended_has_when_the_kernel_is_done_with_the_question(idle_first: bool) -> None:
    asked = Asked(ours=True)
    steps: list[tuple[str, dict[str, Any]]] = [(TOLD, {"state": "ended", "reply": REPLY}), ("status", IDLE)]
    for kind, content in reversed(steps) if idle_first else steps:
        assert not asked.request.ended, kind
        asked.hear(kind, "q1", **content)
    assert asked.request.ended
    assert (asked.request.reply, asked.request.unknown, asked.request.never) == (REPLY, False, False)


def test_one_that_runs_ends_by_itself() -> None:
    asked = Asked(ours=True)
    asked.hear(TOLD, "q1", state="running")
    assert (asked.request.known, asked.request.ended) == (True, False)
    asked.hear("execute_reply", "run", **REPLY)
    asked.hear("status", "run", **IDLE)
    assert asked.request.ended
    assert asked.sent == [("control", OUTCOME)]


def test_one_whose_reply_went_astray_is_asked_for_again() -> None:
    asked = Asked(ours=True)
    asked.hear(TOLD, "q1", state="running")
    asked.hear("status", "run", **IDLE)
    assert asked.sent == [("control", OUTCOME)] * 2
    asked.hear(TOLD, "q2", state="ended", reply=REPLY)
    assert asked.request.ended


def test_one_that_the_kernel_does_not_know_is_asked_for_in_turn_and_has_never_come() -> None:
    asked = Asked(ours=True)
    asked.hear(TOLD, "q1", state="unknown")
    assert not asked.request.known
    assert asked.sent == [("control", OUTCOME), ("shell", OUTCOME)]
    asked.hear(TOLD, "q2", state="unknown")
    assert (asked.request.never, asked.request.unknown) == (True, False)


def test_one_that_had_not_been_read_yet_is_known_in_turn() -> None:
    asked = Asked(ours=True)
    asked.hear(TOLD, "q1", state="unknown")
    asked.hear(TOLD, "q2", state="ended", reply=REPLY)
    asked.hear("status", "q2", **IDLE)
    assert (asked.request.ended, asked.request.never) == (True, False)


@pytest.mark.parametrize("replied", [False, True])
def test_another_kernel_that_answers_in_turn_is_done_with_it(replied: bool) -> None:
    asked = Asked(ours=False)
    assert asked.sent == [("shell", "kernel_info_request")]
    if replied:
        asked.hear("execute_reply", "run", **REPLY)
    asked.hear("kernel_info_reply", "q1")
    assert asked.request.unknown is not replied
