"""A new context, from asking for it until its first line of code has answered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.floors.jupyter import async_jupyter
from benchmarks.floors.pipe import pipe
from benchmarks.measure import Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, Service, check_success
from benchmarks.workbench import Workbench

_FILLED_SECONDS = 2.5


@contextmanager
def _open(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service(warm_kernels="0") as forking, workbench.service(warm_kernels="1") as waiting:
        for service in (forking, waiting):
            _over_http(service)
        yield [
            lambda: {"forked": [_over_http(forking)]},
            lambda: {"warm": [_over_http_later(waiting)]},
            lambda: {"python -c": [pipe("print(1+1)")[0]]},
            lambda: {"jupyter_client": [_over_jupyter()]},
        ]


def _over_http(service: Service) -> float:
    with service.client() as client:
        started = time.perf_counter()
        interpreter = Interpreter(client)
        answer = interpreter.run("1+1")
        seconds = time.perf_counter() - started
        check_success(answer)
        interpreter.delete()
    return seconds


def _over_http_later(service: Service) -> float:
    # There is no sign of it: the kernel that waits is to be known by its speed alone.
    time.sleep(_FILLED_SECONDS)
    return _over_http(service)


def _over_jupyter() -> float:
    started = time.perf_counter()
    with async_jupyter("tcp") as stock:
        stock.run("1+1")
        return time.perf_counter() - started


ROWS = (
    Row(
        "new-context",
        "how soon a new context has answered its first line",
        "s",
        (
            Claim("forked", "python -c", AtMost(1.2)),
            Claim("warm", "python -c", AtMost(0.35)),
            Claim("forked", "jupyter_client"),
            Claim("warm", "jupyter_client"),
        ),
        _open,
    ),
)
