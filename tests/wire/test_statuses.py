"""The one table of statuses: all of it."""

from __future__ import annotations

import pytest

from execd.events import Status
from execd.wire.statuses import WORDS, nullspace_word, promptrails_word

# execd; Nullspace before and after the start, with its failure_reason; Baponi; PromptRails, both generations.
EXPECTED = {
    "queued": ("queued", "queued", "queued", None, "running", "pending", "pending"),
    "awaiting_approval": (
        "awaiting_approval",
        "queued",
        "running",
        None,
        "running",
        "awaiting_approval",
        "waiting_approval",
    ),
    "running": ("running", "running", "running", None, "running", "running", "running"),
    "succeeded": ("succeeded", "succeeded", "succeeded", None, "success", "completed", "completed"),
    "failed": ("failed", "failed", "failed", None, "failed", "failed", "failed"),
    "cancelled": ("cancelled", "cancelled", "cancelled", None, "cancelled", "cancelled", "cancelled"),
    "rejected": ("rejected", "cancelled", "cancelled", "rejected", "cancelled", "rejected", "rejected"),
}
# What clients stop waiting at.
TERMINAL = {
    "nullspace": {"succeeded", "failed", "cancelled"},
    "baponi": {"success", "failed", "cancelled"},
    "promptrails": {"completed", "failed", "cancelled", "rejected"},
}


@pytest.mark.parametrize("status", Status)
def test_every_word(status: Status) -> None:
    words = WORDS[status]
    assert (
        words.execd,
        nullspace_word(status, started=False),
        nullspace_word(status, started=True),
        words.nullspace_reason,
        words.baponi,
        promptrails_word(status, newer=False),
        promptrails_word(status, newer=True),
    ) == EXPECTED[status.value]


@pytest.mark.parametrize("status", Status)
def test_clients_stop_waiting_where_nothing_follows_and_nowhere_else(status: Status) -> None:
    words = WORDS[status]
    for started in (False, True):
        assert (nullspace_word(status, started=started) in TERMINAL["nullspace"]) is status.terminal
    assert (words.baponi in TERMINAL["baponi"]) is status.terminal
    for newer in (False, True):
        assert (promptrails_word(status, newer=newer) in TERMINAL["promptrails"]) is status.terminal


@pytest.mark.parametrize("status", Status)
def test_a_wish_to_cancel_shows_to_newer_clients_until_it_is_over(status: Status) -> None:
    shown = promptrails_word(status, newer=True, cancelling=True)
    assert (shown == "cancel_requested") is not status.terminal
    assert promptrails_word(status, newer=False, cancelling=True) == promptrails_word(status, newer=False)
