"""What a run found, as values and as a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Samples, figure
from benchmarks.row import Claim, Row


@dataclass(frozen=True, slots=True)
class Line:
    """A claim with its numbers. `counted` is what the goal bounds: the ratio, or the value where there is no floor.
    `unit` is that of both, one of UNITS."""

    title: str
    unit: str
    value: Figure
    floor: Figure | None
    goal: str
    met: bool | None

    @property
    def counted(self) -> Figure:
        """The ratio to the floor, or the value itself."""
        return self.value if self.floor is None else self.value.over(self.floor)


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row's lines; none and `failure` when it failed, none and `lack` when this machine cannot measure it."""

    name: str
    feels: str
    unit: str
    lines: tuple[Line, ...] = ()
    failure: str = ""
    lack: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the bench: where, with which settings of the service besides its defaults, and what it found."""

    started: str
    machine: dict[str, str]
    settings: dict[str, str]
    rows: tuple[RowResult, ...]

    @property
    def goals(self) -> list[tuple[str, bool]]:
        """Every goal that was measured, with what it is of, and whether it is met."""
        lines = [(row, line) for row in self.rows for line in row.lines]
        return [(f"{row.name}: {line.title} {line.goal}", line.met) for row, line in lines if line.met is not None]

    @property
    def unmeasured(self) -> list[str]:
        """The rows that have no numbers, so that nothing is known of their goals."""
        return [row.name for row in self.rows if not row.lines]

    @property
    def failed(self) -> bool:
        """Whether a row failed; a goal that is not met is no failure."""
        return any(row.failure for row in self.rows)


def row_result(row: Row, rounds: Sequence[Samples]) -> RowResult:
    """What the rounds of a row say about its claims."""
    lines = tuple(_line(claim, claim.unit or row.unit, rounds) for claim in row.claims)
    return RowResult(row.name, row.feels, row.unit, lines)


def _line(claim: Claim, unit: str, rounds: Sequence[Samples]) -> Line:
    value = figure(rounds, claim.subject, claim.share)
    floor = None if claim.floor is None else figure(rounds, claim.floor, claim.share)
    line = Line(_title(claim), unit, value, floor, "", None)
    if claim.goal is None:
        return line
    bound = f"{claim.goal.bound:g}x" if floor else f"{claim.goal.bound / UNITS[unit][1]:g} {UNITS[unit][0]}"
    return replace(line, goal=f"{claim.goal} {bound}", met=claim.goal.met_by(line.counted.median))


def _title(claim: Claim) -> str:
    title = f"{claim.subject} / {claim.floor}" if claim.floor else claim.subject
    return f"{title}, {claim.note}" if claim.note else title


# Name of a unit: how its numbers are shown, and what they are divided by for that.
UNITS = {"s": ("ms", 1e-3), "us": ("µs", 1e-6), "1/s": ("/s", 1.0), "MB": ("MB", 1e6), "%": ("%", 1e-2), "n": ("", 1.0)}


def write(report: Report, path: Path) -> None:
    """Write a report as JSON. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_encoded(report), indent=1) + "\n")


def read(path: Path) -> Report:
    """The report in a file. Raises OSError, and ValueError or KeyError for what is no report."""
    found = json.loads(path.read_text())
    return Report(found["started"], found["machine"], found["settings"], tuple(map(_row, found["rows"])))


def _encoded(report: Report) -> dict[str, Any]:
    return {
        "started": report.started,
        "machine": report.machine,
        "settings": report.settings,
        "rows": [
            {
                "name": row.name,
                "feels": row.feels,
                "unit": row.unit,
                "failure": row.failure,
                "lack": row.lack,
                "lines": [_encoded_line(line) for line in row.lines],
            }
            for row in report.rows
        ],
    }


def _encoded_line(line: Line) -> dict[str, Any]:
    return {
        "title": line.title,
        "unit": line.unit,
        "median": line.counted.median,
        "goal": line.goal,
        "met": line.met,
        "value": line.value.rounds,
        "floor": line.floor and line.floor.rounds,
    }


def _row(found: dict[str, Any]) -> RowResult:
    lines = tuple(_decoded_line(line, found["unit"]) for line in found["lines"])
    return RowResult(found["name"], found["feels"], found["unit"], lines, found["failure"], found.get("lack", ""))


def _decoded_line(found: dict[str, Any], unit: str) -> Line:
    floor = None if found["floor"] is None else Figure(tuple(found["floor"]))
    # Files from before lines had units of their own have that of the row.
    unit = found.get("unit", unit)
    return Line(found["title"], unit, Figure(tuple(found["value"])), floor, found["goal"], found["met"])
