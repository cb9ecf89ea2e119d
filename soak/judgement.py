"""Whether a resource leaks, decided from what was seen at quiet points alone."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from soak.bounds import Bound, Count, Memory

_RISES = 3
"""A count that never falls and rises at so many looks grows, however little; once there was time enough for that."""

_POINTS, _RUNS = 6, 2000
"""A slope of fewer points, or over fewer runs, says nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one quiet point, `at` seconds and so many `runs` of code and commands after the beginning;
    `values` by the names of bounds.BOUNDS. `descriptors` are what the service has open, and how often."""

    at: float
    runs: int
    values: Mapping[str, float]
    descriptors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one resource. `a_run` and `an_hour` are how it grows over the last two thirds, None where
    there is too little to tell; `leak` says how that is too much, empty when it is not."""

    resource: str
    bound: Bound
    values: tuple[float, ...]
    a_run: float | None
    an_hour: float | None
    leak: str

    @property
    def growth(self) -> float:
        """The last value above the first one."""
        return self.values[-1] - self.values[0]


def judge(samples: Sequence[Sample], bounds: Mapping[str, Bound]) -> list[Verdict]:
    """A verdict for each bound of which there is something in every sample."""
    seen = [name for name in bounds if samples and all(name in sample.values for sample in samples)]
    return [_verdict(name, bounds[name], samples) for name in seen]


def allowed(samples: Sequence[Sample], bounds: Mapping[str, Bound]) -> dict[str, float]:
    """The most that each count may be after these samples; nothing before the first one."""
    first = samples[0].values if samples else {}
    return {
        name: first[name] + bound.slack for name, bound in bounds.items() if isinstance(bound, Count) and name in first
    }


def long_enough(samples: Sequence[Sample]) -> bool:
    """Whether slopes of these can be judged."""
    return len(samples) >= _POINTS and samples[-1].runs - samples[0].runs >= _RUNS


def slope_of(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between any two points (Theil and Sen): a few odd points do not move it."""
    return statistics.median((y - x) / (b - a) for (a, x), (b, y) in combinations(points, 2) if b > a)


def _verdict(name: str, bound: Bound, samples: Sequence[Sample]) -> Verdict:
    values = tuple(sample.values[name] for sample in samples)
    if not long_enough(samples):
        return Verdict(name, bound, values, None, None, _leak(bound, values, None))
    later = samples[len(samples) // 3 :]
    a_run = slope_of([(sample.runs, sample.values[name]) for sample in later])
    an_hour = 3600 * slope_of([(sample.at, sample.values[name]) for sample in later])
    return Verdict(name, bound, values, a_run, an_hour, _leak(bound, values, a_run))


def _leak(bound: Bound, values: Sequence[float], a_run: float | None) -> str:
    growth = values[-1] - values[0]
    match bound:
        case Count(slack) if growth > slack:
            return f"{growth:.0f} more"
        case Count() if a_run is not None and _always_grows(values):
            return "grows at every look"
        case Memory(most) if growth > most:
            return "too much more"
        case Memory(_, most) if a_run is not None and a_run > most:
            return f"{a_run:.0f} bytes a run"
    return ""


def _always_grows(values: Sequence[float]) -> bool:
    steps = [after - before for before, after in pairwise(values)]
    return all(step >= 0 for step in steps) and sum(step > 0 for step in steps) >= _RISES
