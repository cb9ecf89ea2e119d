"""Reports as text: one run, or two side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.measure import Figure
from benchmarks.results import UNITS, Line, Report, RowResult

_MET = {True: "met", False: "NOT met", None: "not a goal"}
_HEAD = ("", "measured", "floor", "ratio (lowest-highest)", "goal", "")


def table(report: Report) -> str:
    """A run: the machine, then each row with a line for each of its claims."""
    lines = [f"{name}: {value}" for name, value in report.machine.items()]
    lines += [f"setting: {name}={value}" for name, value in report.settings.items()]
    cells = [_HEAD, *(cell for row in report.rows for cell in _row_cells(row))]
    return "\n".join([*lines, "", *aligned(cells), "", *_summary(report)])


def _summary(report: Report) -> Iterator[str]:
    missed = [goal for goal, met in report.goals if not met]
    yield f"{len(report.goals) - len(missed)} of {len(report.goals)} goals met, {len(missed)} NOT met"
    yield from (f"  NOT met: {goal}" for goal in missed)
    yield from (f"  no numbers: {name}" for name in report.unmeasured)


def comparison(before: Report, after: Report) -> str:
    """Two runs, claim by claim, with what became of each."""
    old = {(row.name, line.title): line for row in before.rows for line in row.lines}
    cells: list[tuple[str, ...]] = [("", before.started, after.started, "change", "", "")]
    for row in after.rows:
        cells.append((f"{row.name}: {row.feels}",))
        cells += [_compared(old.get((row.name, line.title)), line) for line in row.lines]
        cells += _without_numbers(row)
    return "\n".join(aligned(cells))


def _row_cells(row: RowResult) -> Iterator[tuple[str, ...]]:
    yield (f"{row.name}: {row.feels}",)
    yield from _without_numbers(row)
    for line in row.lines:
        floor = "" if line.floor is None else quantity(line.floor.median, line.unit)
        yield (
            f"  {line.title}",
            quantity(line.value.median, line.unit),
            floor,
            _with_spread(line.counted, "" if line.floor is None else "x", line.unit),
            line.goal,
            _MET[line.met],
        )


def _without_numbers(row: RowResult) -> Iterator[tuple[str, ...]]:
    if row.failure:
        yield (f"  FAILED: {row.failure}",)
    if row.lack:
        yield (f"  not measured: {row.lack}",)


def _compared(before: Line | None, after: Line) -> tuple[str, ...]:
    shown = _counted(after)
    if before is None:
        return (f"  {after.title}", "", shown, "new", "", "")
    change = after.counted.median / before.counted.median if before.counted.median else float("nan")
    apart = after.counted.low > before.counted.high or after.counted.high < before.counted.low
    return (
        f"  {after.title}",
        _counted(before),
        shown,
        f"{change:.2f}x",
        "" if apart else "within the spread",
        _MET[after.met],
    )


def _counted(line: Line) -> str:
    return quantity(line.counted.median, line.unit) if line.floor is None else f"{line.counted.median:.2f}x"


def _with_spread(figure: Figure, sign: str, unit: str) -> str:
    if sign:
        return f"{figure.median:.2f}x ({figure.low:.2f}-{figure.high:.2f})"
    return f"({quantity(figure.low, unit)} - {quantity(figure.high, unit)})"


def quantity(value: float, unit: str) -> str:
    """A value with three digits that count and the unit that it is shown in."""
    name, scale = UNITS[unit]
    shown = value / scale
    digits = 0 if abs(shown) >= 100 else 1 if abs(shown) >= 10 else 2
    return f"{shown:,.{digits}f} {name}"


def aligned(cells: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines in which the columns stand below each other."""
    # A row of one cell is a heading and takes all the room that it wants.
    wide = [row for row in cells if len(row) > 1]
    widths = [max(len(row[column]) for row in wide) for column in range(len(wide[0]))]
    for row in cells:
        yield row[0] if len(row) == 1 else "  ".join(map(str.ljust, row, widths)).rstrip()
