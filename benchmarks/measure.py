"""Numbers from a shared machine: subjects take turns, every round gives one ratio, and the median of them counts.

Absolute times swing by a factor of two between runs of one machine, so nothing here compares across rounds: a
subject's figure is divided by the floor's figure of the same round, and only then are medians taken.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Samples = Mapping[str, Sequence[float]]
Take = Callable[[], Samples]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number a round: their median, and the lowest and the highest as their spread."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        """The lowest round."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """The highest round."""
        return max(self.rounds)

    def over(self, floor: Figure) -> Figure:
        """The ratio to a floor, round by round."""
        return Figure(tuple(mine / theirs for mine, theirs in zip(self.rounds, floor.rounds, strict=True)))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ranked = sorted(values)
    return ranked[max(math.ceil(share * len(ranked)), 1) - 1]


def figure(rounds: Sequence[Samples], subject: str, share: float) -> Figure:
    """A subject's percentile in each round; its median when `share` is a half."""
    taken = [samples[subject] for samples in rounds]
    if share == 0.5:
        return Figure(tuple(statistics.median(values) for values in taken))
    return Figure(tuple(percentile(values, share) for values in taken))


def interleave(takes: Sequence[Take], rounds: int, tell: Tell) -> list[Samples]:
    """Let each take its turn once a round, in an order that moves on by one each round; what each round gave."""
    return [_one_round(_rotated(takes, turn), f"round {turn + 1} of {rounds}", tell) for turn in range(rounds)]


def _one_round(takes: Iterator[Take], title: str, tell: Tell) -> Samples:
    samples: dict[str, Sequence[float]] = {}
    for take in takes:
        tell(title)
        samples.update(take())
    return samples


def _rotated(takes: Sequence[Take], turn: int) -> Iterator[Take]:
    start = turn % len(takes)
    yield from takes[start:]
    yield from takes[:start]
