"""The interrupt ladder: what is tried, in order, to stop a cell, and for how long each rung may take.

SIGINT stops most code. It does not stop a pending top-level `await`: ipykernel only notices when something else wakes
its loop, which any message on the shell channel does, hence the nudge. Code that swallows KeyboardInterrupt gets a
second one, and then its kernel is killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rung(StrEnum):
    """One thing that is done to stop a run."""

    INTERRUPT = "interrupt"
    NUDGE = "nudge"
    INTERRUPT_AGAIN = "interrupt_again"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Step:
    """A rung, and the seconds that it may take before the next one; None for the last."""

    rung: Rung
    patience: float | None


_NUDGE_AFTER = 0.05


def ladder(grace: float) -> tuple[Step, ...]:
    """The rungs, where `grace` is how long, in seconds, the code may take to come to its end after an interrupt."""
    return (
        Step(Rung.INTERRUPT, min(_NUDGE_AFTER, grace)),
        Step(Rung.NUDGE, grace),
        Step(Rung.INTERRUPT_AGAIN, grace),
        Step(Rung.KILL, None),
    )
