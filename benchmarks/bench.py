"""One run of the bench: row after row, each measured in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.errors import NotMeasured, RowFailed
from benchmarks.machine import describe
from benchmarks.measure import Tell, interleave
from benchmarks.progress import Progress
from benchmarks.results import Report, RowResult, row_result
from benchmarks.row import Row
from benchmarks.workbench import Workbench


def run(rows: Sequence[Row], rounds: int, workbench: Workbench) -> Report:
    """Measure the rows. A row that fails says so in the report and stops no other."""
    conditions = {**describe(), "large file": f"{workbench.file_mib:,} MiB"}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    progress = Progress()
    results: list[RowResult] = []
    for number, row in enumerate(rows, start=1):
        progress.row(row.name, number, len(rows))
        results.append(measure(row, rounds, workbench, progress.tell))
    progress.done()
    return Report(started, conditions, dict(workbench.settings), tuple(results))


def measure(row: Row, rounds: int, workbench: Workbench, tell: Tell) -> RowResult:
    """Measure one row in at most `rounds` rounds, after one that does not count where the row has several."""
    most = min(rounds, row.rounds)
    try:
        with row.open(workbench) as takes:
            if row.rounds > 1:
                interleave(takes, 1, lambda _: tell("warming up"))
            return row_result(row, interleave(takes, most, tell))
    except RowFailed as failure:
        return RowResult(row.name, row.feels, row.unit, failure=str(failure))
    except NotMeasured as lack:
        return RowResult(row.name, row.feels, row.unit, lack=str(lack))
