"""Journals as rows: some records each, appended in batches, read from any seq on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from execd.store.tables import journal

BATCH_BYTES = 256 * 1024
"""A row holds about this much at most, and one record at least."""

_FEW_ROWS = 8
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive encoded events; the first one's seq is `first`."""

    first: int
    records: Sequence[bytes]


def append(connection: Connection, execution_id: str, batch: Batch) -> None:
    """Add records. Their seqs are greater than all that are there."""
    rows = [
        {
            "execution_id": execution_id,
            "first": piece.first,
            "count": len(piece.records),
            "size": sum(map(len, piece.records)) + len(piece.records),
            "data": b"\n".join(piece.records),
        }
        for piece in _pieces(batch)
    ]
    if rows:
        connection.execute(_INSERT, rows)


def read(connection: Connection, execution_id: str, after: int, most: int) -> list[Batch]:
    """Records whose seqs are greater than `after`, about `most` bytes of them, but some if there are any."""
    start = connection.execute(_START, {"wanted": execution_id, "after": after}).scalar_one_or_none()
    found = connection.execute(_FROM, {"wanted": execution_id, "start": start or 0})
    batches: list[Batch] = []
    size = 0
    with found:
        for first, data in found:
            records = data.split(b"\n")
            skipped = max(after + 1 - first, 0)
            if skipped < len(records):
                batches.append(Batch(first + skipped, records[skipped:]))
                size += len(data)
            if size >= most:
                break
    return batches


def merge(connection: Connection, execution_id: str, last_seq: int) -> None:
    """Put the many small rows of a journal that has ended, with this record, into few large ones."""
    if last_seq <= _FEW_ROWS:
        return
    sizes = connection.execute(_SIZES, {"wanted": execution_id}).all()
    if len(sizes) <= max(_FEW_ROWS, 2 * sum(size for _, size in sizes) // BATCH_BYTES):
        return
    found = connection.execute(_ALL, {"wanted": execution_id})
    batches = [Batch(first, data.split(b"\n")) for first, data in found]
    connection.execute(delete(journal).where(journal.c.execution_id == execution_id))
    for run in _runs(batches):
        append(connection, execution_id, run)


def _pieces(batch: Batch) -> list[Batch]:
    pieces: list[Batch] = []
    begin, size = 0, 0
    for place, record in enumerate(batch.records):
        size += len(record) + 1
        if size >= BATCH_BYTES:
            pieces.append(Batch(batch.first + begin, batch.records[begin : place + 1]))
            begin, size = place + 1, 0
    if begin < len(batch.records):
        pieces.append(Batch(batch.first + begin, batch.records[begin:]))
    return pieces


def _runs(batches: list[Batch]) -> list[Batch]:
    """The same, those put together that follow each other without a hole."""
    runs: list[tuple[int, list[bytes]]] = []
    for batch in batches:
        if runs and runs[-1][0] + len(runs[-1][1]) == batch.first:
            runs[-1][1].extend(batch.records)
        else:
            runs.append((batch.first, list(batch.records)))
    return [Batch(first, records) for first, records in runs]


_INSERT = insert(journal)
_OF = journal.c.execution_id == bindparam("wanted")
_START = select(func.max(journal.c.first)).where(_OF, journal.c.first <= bindparam("after") + 1)
_FROM = (
    select(journal.c.first, journal.c.data)
    .where(_OF, journal.c.first >= bindparam("start"))
    .order_by(journal.c.first)
    .limit(_ROWS_AT_ONCE)
)
_ALL = select(journal.c.first, journal.c.data).where(_OF).order_by(journal.c.first)
_SIZES = select(journal.c.first, journal.c.size).where(_OF)
