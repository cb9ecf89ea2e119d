"""What the service itself computes: for one run, and while nobody asks for anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.measure import Samples, Take
from benchmarks.processes import cpu_seconds, cpu_shares
from benchmarks.row import Claim, Row
from benchmarks.service import Service
from benchmarks.workbench import Workbench

_RUNS = 200
_CONTEXTS = 20
_IDLE_SECONDS = 10.0
# By then the service has started the kernel that waits for the next context.
_SETTLED_SECONDS = 3.0


@contextmanager
def _open_run(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service() as service, service.interpreter() as interpreter:
        yield [
            lambda: {"1+1": [_cpu(service, lambda: interpreter.run("1+1"))]},
            lambda: {"GET /ping": [_cpu(service, lambda: interpreter.client.request("GET", "/ping"))]},
        ]


def _cpu(service: Service, ask: Callable[[], object]) -> float:
    before = cpu_seconds(service.pid)
    for _ in range(_RUNS):
        ask()
    return (cpu_seconds(service.pid) - before) / _RUNS


@contextmanager
def _open_idle(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service() as service, ExitStack() as stack:
        for _ in range(_CONTEXTS):
            stack.enter_context(service.interpreter())
        time.sleep(_SETTLED_SECONDS)
        yield [lambda: _idle(service)]


def _idle(service: Service) -> Samples:
    shares = cpu_shares({"server": [service.pid], "20 kernels": service.others()}, _IDLE_SECONDS)
    return {name: [share] for name, share in shares.items()}


ROWS = (
    Row(
        "server-cpu",
        "how many runs a second one service can take: its CPU time for each",
        "s",
        (Claim("1+1"), Claim("GET /ping")),
        _open_run,
    ),
    Row(
        "idle-cpu",
        "what 20 contexts cost that nobody uses, in shares of one processor",
        "%",
        (Claim("server"), Claim("20 kernels")),
        _open_idle,
        rounds=3,
    ),
)
