"""Prints that are flushed one by one, as progress bars and logs do. Not one may be lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks.errors import RowFailed
from benchmarks.floors.lean import lean_client
from benchmarks.floors.pipe import pipe
from benchmarks.measure import Take
from benchmarks.row import AtLeast, Claim, Row
from benchmarks.service import Interpreter, printed
from benchmarks.workbench import Workbench


def _code(count: int) -> str:
    return f"for i in range({count}): print(i, flush=True)"


@contextmanager
def _open(count: int, workbench: Workbench) -> Iterator[Sequence[Take]]:
    code = _code(count)
    with workbench.service() as service, service.interpreter() as interpreter, lean_client(workbench) as lean:
        yield [
            lambda: {"execd": [count / _all_printed(interpreter, count)]},
            lambda: {"lean client": [count / lean.run(code)[0]]},
            lambda: {"pipe": [count / pipe(code)[0]]},
        ]


def _all_printed(interpreter: Interpreter, count: int) -> float:
    seconds, answer = interpreter.timed(_code(count))
    arrived = printed(answer).split()
    if arrived != [str(i) for i in range(count)]:
        raise RowFailed(f"{count - len(arrived)} of {count} flushed prints were LOST")
    return seconds


def _row(name: str, count: int, rounds: int) -> Row:
    return Row(
        name,
        f"how fast {count:,} flushed prints arrive, none of them lost",
        "1/s",
        (Claim("execd", None, AtLeast(9000)), Claim("execd", "lean client"), Claim("execd", "pipe")),
        partial(_open, count),
        rounds,
    )


ROWS = (_row("5k-flushed", 5_000, 100), _row("50k-flushed", 50_000, 3))
