"""Many contexts: a hundred that nobody uses, and fifty that compute at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.measure import Samples, Take, percentile
from benchmarks.processes import cpu_seconds, cpu_shares, descriptors, pss, threads
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, Service, check_success
from benchmarks.workbench import Workbench

_IDLE = 100
_IDLE_SECONDS = 10.0
_BUSY = 50
_RUNS = 10
_WORK = "sum(number * number for number in range(2000))"
_MB = 1_000_000


@contextmanager
def _open_idle(workbench: Workbench) -> Iterator[list[Take]]:
    with _contexts(workbench, _IDLE) as (service, _):
        yield [lambda: _idle(service)]


@contextmanager
def _open_idle_use(workbench: Workbench) -> Iterator[list[Take]]:
    with _contexts(workbench, _IDLE) as (service, _):
        yield [lambda: _use(service)]


@contextmanager
def _open_memory(workbench: Workbench) -> Iterator[list[Take]]:
    with _contexts(workbench, _IDLE) as (service, _):
        yield [lambda: {"a context": [sum(map(pss, service.others())) / _IDLE], "server": [pss(service.pid)]}]


@contextmanager
def _open_busy(workbench: Workbench) -> Iterator[list[Take]]:
    with _contexts(workbench, _BUSY) as (service, contexts):
        yield [lambda: _at_once(service, contexts)]


@contextmanager
def _contexts(workbench: Workbench, count: int) -> Iterator[tuple[Service, Sequence[Interpreter]]]:
    with workbench.service(warm_kernels="0", max_contexts=str(count)) as service, ExitStack() as stack:
        yield service, [stack.enter_context(service.interpreter()) for _ in range(count)]


def _idle(service: Service) -> Samples:
    shares = cpu_shares({"server": [service.pid], "100 kernels": service.others()}, _IDLE_SECONDS)
    return {name: [share] for name, share in shares.items()}


def _use(service: Service) -> Samples:
    others = service.others()
    return {
        "descriptors of the server": [descriptors(service.pid)],
        "threads of the server": [threads(service.pid)],
        "threads of a kernel": [sum(map(threads, others)) / _IDLE],
    }


def _at_once(service: Service, contexts: Sequence[Interpreter]) -> Samples:
    before, taken = cpu_seconds(service.pid), list[float]()
    everybody = [threading.Thread(target=_work, args=(context, taken)) for context in contexts]
    for one in everybody:
        one.start()
    for one in everybody:
        one.join()
    found = {f"p{share}": [percentile(taken, share / 100)] for share in (50, 95, 99)}
    return {**found, "server CPU for a run": [(cpu_seconds(service.pid) - before) / len(taken)]}


def _work(context: Interpreter, taken: list[float]) -> None:
    for _ in range(_RUNS):
        seconds, answer = context.timed(_WORK)
        check_success(answer)
        taken.append(seconds)


ROWS = (
    Row(
        "100-idle-cpu",
        "what 100 contexts cost that nobody uses, in shares of one processor",
        "%",
        (Claim("server"), Claim("100 kernels")),
        _open_idle,
        rounds=1,
    ),
    Row(
        "100-idle-memory",
        "the memory that each of 100 such contexts keeps",
        "MB",
        (Claim("a context", None, AtMost(12 * _MB)), Claim("server")),
        _open_memory,
        rounds=1,
    ),
    Row(
        "100-idle-use",
        "what 100 such contexts take of the machine besides",
        "n",
        (Claim("descriptors of the server"), Claim("threads of the server"), Claim("threads of a kernel")),
        _open_idle_use,
        rounds=1,
    ),
    Row(
        "50-at-once",
        "how soon a short run has answered when 50 contexts compute at once",
        "s",
        (
            Claim("p50"),
            Claim("p95", "p50"),
            Claim("p99", "p50", AtMost(2.0)),
            Claim("server CPU for a run", None, AtMost(0.001)),
        ),
        _open_busy,
    ),
)
