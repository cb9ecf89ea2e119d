"""A row of the table: what a user feels, how it is measured, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.measure import Take
from benchmarks.workbench import Workbench


@dataclass(frozen=True, slots=True)
class AtMost:
    """A goal that is met at or below the bound."""

    bound: float

    def met_by(self, value: float) -> bool:
        """Whether the value meets it."""
        return value <= self.bound

    def __str__(self) -> str:
        return "<="


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A goal that is met at or above the bound."""

    bound: float

    def met_by(self, value: float) -> bool:
        """Whether the value meets it."""
        return value >= self.bound

    def __str__(self) -> str:
        return ">="


Goal = AtMost | AtLeast


@dataclass(frozen=True, slots=True)
class Claim:
    """One line below a row: a subject against a floor, or by itself where `floor` is None.

    The goal bounds the ratio where there is a floor, the subject's own value where there is none. `share` is the
    percentile of a round's samples that is looked at. `note` says what the line is about, beyond its floor. `unit` is
    one of results.UNITS, where it is another than the row's.
    """

    subject: str
    floor: str | None = None
    goal: Goal | None = None
    share: float = 0.5
    note: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Something that a user feels. `open` gives the takes of one round while its block is entered.

    `unit` is one of results.UNITS. `rounds` caps the rounds of a row that takes long and varies little.
    """

    name: str
    feels: str
    unit: str
    claims: tuple[Claim, ...]
    open: Callable[[Workbench], AbstractContextManager[Sequence[Take]]]
    rounds: int = 100
