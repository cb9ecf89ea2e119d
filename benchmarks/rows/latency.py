"""One line of code on a warm context, over a connection that is kept alive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.floors.jupyter import async_jupyter, blocking_jupyter
from benchmarks.floors.lean import lean_client
from benchmarks.measure import Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, check_success
from benchmarks.workbench import Workbench

_CODE = "1+1"
_RUNS = 100


@contextmanager
def _open(workbench: Workbench) -> Iterator[list[Take]]:
    with (
        workbench.service() as service,
        service.interpreter() as interpreter,
        lean_client(workbench) as lean,
        async_jupyter("tcp") as tcp,
        async_jupyter("ipc") as ipc,
        blocking_jupyter() as blocking,
    ):
        yield [
            lambda: {"execd": _times(interpreter)},
            lambda: {"lean client": lean.times(_CODE, _RUNS)},
            lambda: {"jupyter_client": tcp.times(_CODE, _RUNS)},
            lambda: {"jupyter_client, ipc": ipc.times(_CODE, _RUNS)},
            lambda: {"jupyter_client, blocking": blocking.times(_CODE, _RUNS)},
        ]


def _times(interpreter: Interpreter) -> list[float]:
    timed = [interpreter.timed(_CODE) for _ in range(_RUNS)]
    check_success(timed[-1][1])
    return [seconds for seconds, _ in timed]


ROWS = (
    Row(
        "1+1",
        "how soon one line of code has answered",
        "s",
        (
            Claim("execd", "lean client", AtMost(1.2), note="p50"),
            Claim("execd", "lean client", AtMost(1.2), share=0.95, note="p95"),
            Claim("execd", "jupyter_client", AtMost(0.5), note="p50"),
            Claim("execd", "jupyter_client", AtMost(0.5), share=0.95, note="p95"),
            Claim("execd", "jupyter_client, ipc", note="p50"),
            Claim("execd", "jupyter_client, blocking", note="p50"),
        ),
        _open,
    ),
)
