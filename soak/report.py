"""What a soak found: as text, and as a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import percentile
from benchmarks.table import aligned
from soak.bounds import MB, Bound, Count, Memory
from soak.judgement import Sample, Verdict, long_enough
from soak.tally import Tally


@dataclass(frozen=True, slots=True)
class Report:
    """`remains` are sentences about what the service has left, and about errors in its log."""

    started: str
    machine: dict[str, str]
    settings: dict[str, str]
    minutes: float
    seed: int
    clients: int
    early: bool
    tally: Tally
    samples: tuple[Sample, ...]
    verdicts: tuple[Verdict, ...]
    remains: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed, leaked or was left, and there was enough to say so."""
        return (
            not self.tally.errors
            and not self.remains
            and len(self.samples) > 1
            and not any(verdict.leak for verdict in self.verdicts)
        )


def text(report: Report) -> str:
    """All of it, for a terminal."""
    return "\n".join(_lines(report))


def write(report: Report, path: Path) -> None:
    """The same as JSON. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_encoded(report), indent=1) + "\n")


def _lines(report: Report) -> Iterator[str]:
    yield ""
    yield from (f"{name}: {value}" for name, value in report.machine.items())
    yield from (f"setting: {name}={value}" for name, value in report.settings.items())
    yield f"seed: {report.seed}, clients: {report.clients}, minutes: {report.minutes:g}"
    yield ""
    yield from aligned([("operation", "done", "failed", "p50", "p99"), *_operations(report.tally)])
    yield ""
    heads = ("resource", "first", "last", "most", "a run", "an hour", "bound", "verdict")
    yield from aligned([heads, *map(_resource, report.verdicts)])
    yield ""
    yield from _new_descriptors(report)
    yield from _failures(report)
    yield from (f"LEFT: {sentence}" for sentence in report.remains)
    yield from _conclusion(report)


def _operations(tally: Tally) -> Iterator[tuple[str, ...]]:
    for name in sorted({*tally.seconds, *tally.failed}):
        seconds = tally.seconds.get(name, [])
        shown = [f"{1000 * percentile(seconds, share):,.0f} ms" if seconds else "" for share in (0.5, 0.99)]
        yield (name, str(len(seconds)), str(tally.failed.get(name, 0) or ""), *shown)
    yield ("all", str(sum(map(len, tally.seconds.values()))), str(tally.errors or ""), "", "")


def _resource(verdict: Verdict) -> tuple[str, ...]:
    scale, unit = (MB, " MB") if _is_bytes(verdict) else (1, "")
    digits = 1 if unit else 0
    first, last, most = (
        f"{value / scale:.{digits}f}{unit}" for value in (verdict.values[0], verdict.values[-1], max(verdict.values))
    )
    a_run = "" if verdict.a_run is None else f"{verdict.a_run:+.0f} B" if unit else f"{verdict.a_run:+.4f}"
    an_hour = "" if verdict.an_hour is None else f"{verdict.an_hour / scale:+.1f}{unit}"
    word = "" if verdict.bound is None else f"LEAKS: {verdict.leak}" if verdict.leak else "steady"
    return (verdict.resource, first, last, most, a_run, an_hour, bound_of(verdict.bound), word)


def bound_of(bound: Bound) -> str:
    """A bound in words."""
    match bound:
        case Count(slack):
            return f"+{slack}"
        case Memory(growth, a_run):
            return f"+{growth / MB:g} MB, {a_run:g} B a run"
    return "not judged"


def _is_bytes(verdict: Verdict) -> bool:
    return isinstance(verdict.bound, Memory) or verdict.resource.endswith(("bytes", "pss"))


def _new_descriptors(report: Report) -> Iterator[str]:
    """What has been opened since the first look, where there is more of something than may be."""
    if not any(verdict.leak and isinstance(verdict.bound, Count) for verdict in report.verdicts):
        return
    new = Counter(report.samples[-1].descriptors) - Counter(report.samples[0].descriptors)
    yield from (f"NEW DESCRIPTOR of the service: {target} ({count})" for target, count in sorted(new.items()))


def _failures(report: Report) -> Iterator[str]:
    for failure in report.tally.failures:
        yield f"FAILED after {failure.at:.0f} s: {failure.where}, client {failure.client}\n{failure.said}"


def _conclusion(report: Report) -> Iterator[str]:
    if report.early:
        yield "ended early: this is what was found so far"
    if len(report.samples) < 2:
        yield "too short to compare anything: there were no two looks"
    elif not long_enough(report.samples):
        yield "too short to judge how memory grows with each run: counts and the most growth are judged"
    yield "PASSED" if report.passed else "FAILED"


def _encoded(report: Report) -> dict[str, Any]:
    return {
        "started": report.started,
        "machine": report.machine,
        "settings": report.settings,
        "minutes": report.minutes,
        "seed": report.seed,
        "clients": report.clients,
        "early": report.early,
        "passed": report.passed,
        "operations": _encoded_operations(report.tally),
        "failures": [asdict(failure) for failure in report.tally.failures],
        "resources": [_encoded_verdict(verdict) for verdict in report.verdicts],
        "samples": [asdict(sample) for sample in report.samples],
        "remains": report.remains,
    }


def _encoded_operations(tally: Tally) -> dict[str, Any]:
    return {
        name: {
            "done": len(seconds),
            "failed": tally.failed.get(name, 0),
            "p50": percentile(seconds, 0.5) if seconds else None,
            "p99": percentile(seconds, 0.99) if seconds else None,
        }
        for name in sorted({*tally.seconds, *tally.failed})
        for seconds in [tally.seconds.get(name, [])]
    }


def _encoded_verdict(verdict: Verdict) -> dict[str, Any]:
    bound = None if verdict.bound is None else asdict(verdict.bound)
    return {
        "resource": verdict.resource,
        "values": verdict.values,
        "a_run": verdict.a_run,
        "an_hour": verdict.an_hour,
        "bound": bound,
        "leak": verdict.leak,
    }
