"""Every row of the table, in its order."""

from __future__ import annotations

from benchmarks.row import Row
from benchmarks.rows import (
    bulk,
    commands,
    cpu,
    flushed,
    in_flight,
    latency,
    many,
    memory,
    sandboxes,
    scale,
    slow_reader,
    start,
    store,
    subscribers,
    transfers,
    workspace,
)

ROWS: tuple[Row, ...] = (
    *latency.ROWS,
    *bulk.ROWS,
    *flushed.ROWS,
    *commands.ROWS,
    *start.ROWS,
    *sandboxes.ROWS,
    *memory.ROWS,
    *cpu.ROWS,
    *many.ROWS,
    *scale.ROWS,
    *in_flight.ROWS,
    *subscribers.ROWS,
    *slow_reader.ROWS,
    *store.ROWS,
    *transfers.ROWS,
    *workspace.ROWS,
)
