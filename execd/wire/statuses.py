"""What every API calls the states of an execution. The one table; a test walks all of it.

An API that has no word for a state shows the nearest that its clients handle rightly: one that they go on waiting at
where the execution goes on, and one that they stop at where it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from execd.events import Status


@dataclass(frozen=True, slots=True)
class Words:
    """One state's words. `nullspace_started` is Nullspace's where it differs once the code has begun, and
    `nullspace_reason` what stands in `failure_reason` besides; `promptrails_newer` is for clients of the later
    generation (execd.wire.promptrails.generation), where it differs."""

    execd: str
    nullspace: str
    baponi: str
    promptrails: str
    nullspace_started: str | None = None
    nullspace_reason: str | None = None
    promptrails_newer: str | None = None


WORDS: Mapping[Status, Words] = {
    Status.QUEUED: Words("queued", "queued", "running", "pending"),
    Status.AWAITING_APPROVAL: Words(
        "awaiting_approval",
        "queued",
        "running",
        "awaiting_approval",
        nullspace_started="running",
        promptrails_newer="waiting_approval",
    ),
    Status.RUNNING: Words("running", "running", "running", "running"),
    Status.SUCCEEDED: Words("succeeded", "succeeded", "success", "completed"),
    Status.FAILED: Words("failed", "failed", "failed", "failed"),
    Status.CANCELLED: Words("cancelled", "cancelled", "cancelled", "cancelled"),
    Status.REJECTED: Words("rejected", "cancelled", "cancelled", "rejected", nullspace_reason="rejected"),
}


def nullspace_word(status: Status, *, started: bool) -> str:
    """Nullspace's word for a state."""
    words = WORDS[status]
    return words.nullspace_started if started and words.nullspace_started else words.nullspace


def promptrails_word(status: Status, *, newer: bool, cancelling: bool = False) -> str:
    """PromptRails' word for a state; `cancelling` that somebody has asked for its end, which has not come."""
    if cancelling and newer and not status.terminal:
        return CANCEL_REQUESTED
    words = WORDS[status]
    return words.promptrails_newer if newer and words.promptrails_newer else words.promptrails


CANCEL_REQUESTED = "cancel_requested"
