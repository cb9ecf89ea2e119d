"""Two hundred runs that are all under way at once, each in a context of its own, each followed by its client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.client import Answer
from benchmarks.crowd import begun, crowd, ended
from benchmarks.errors import RowFailed
from benchmarks.gate import Gate
from benchmarks.measure import Samples, Take
from benchmarks.processes import cpu_seconds, descriptors, pss, rss, threads
from benchmarks.row import Claim, Row
from benchmarks.service import Interpreter, Service, printed
from benchmarks.workbench import Workbench

_RUNS = 200
_LINES = 50
_SECONDS = 120.0


@contextmanager
def _open(workbench: Workbench) -> Iterator[list[Take]]:
    with (
        workbench.service(warm_kernels="0", max_contexts=str(_RUNS)) as service,
        service.client() as client,
    ):
        contexts = [Interpreter(client) for _ in range(_RUNS)]
        for context in contexts:
            context.succeed("1+1")
        yield [lambda: _in_flight(service, contexts)]


def _in_flight(service: Service, contexts: Sequence[Interpreter]) -> Samples:
    gate = Gate(service)
    orders = [("/code", context.order(_code(gate, number))) for number, context in enumerate(contexts)]
    with crowd(service, _RUNS) as everybody:
        before, cpu_before, asked = rss(service.pid), cpu_seconds(service.pid), time.perf_counter()
        everybody.send("POST", orders)
        everybody.read_until_all(begun, _SECONDS)
        begins = [member.began - asked for member in everybody.members]
        _wait_for_all(service)
        running = time.perf_counter() - asked
        used: dict[str, Sequence[float]] = {
            "server": [pss(service.pid)],
            "a kernel": [sum(map(pss, service.others())) / _RUNS],
            "descriptors of the server": [descriptors(service.pid)],
            "threads of the server": [threads(service.pid)],
        }
        opened = time.perf_counter()
        gate.open()
        everybody.read_until_all(ended, _SECONDS)
        ends = [member.ended - opened for member in everybody.members]
        _check_each([member.answer() for member in everybody.members])
        cpu = (cpu_seconds(service.pid) - cpu_before) / _RUNS
        grown = rss(service.pid) - before
    return {
        **used,
        "stream begun": begins,
        "all are running": [running],
        "ended": ends,
        "server CPU for a run": [cpu],
        "growth of the server": [grown],
    }


def _code(gate: Gate, number: int) -> str:
    return f"{gate.waiting}\nfor i in range({_LINES}): print({number}, i)"


def _wait_for_all(service: Service) -> None:
    deadline, running = time.perf_counter() + _SECONDS, 0
    with service.client() as client:
        while time.perf_counter() < deadline:
            running = len(client.request("GET", f"/code/executions?status=running&limit={_RUNS + 1}").json())
            if running == _RUNS:
                return
            time.sleep(0.05)
    raise RowFailed(f"{running} of {_RUNS} runs were under way at once")


def _check_each(answers: Sequence[Answer]) -> None:
    for number, answer in enumerate(answers):
        if printed(answer) != "".join(f"{number} {i}\n" for i in range(_LINES)):
            raise RowFailed(f"run {number} has lost output, or got that of another")


ROWS = (
    Row(
        "200-in-flight",
        "what 200 runs that are under way at once cost, and how soon each has begun, and ended when all may go on",
        "s",
        (
            Claim("stream begun", note="p50"),
            Claim("stream begun", share=0.99, note="p99"),
            Claim("all are running"),
            Claim("ended", note="p50"),
            Claim("ended", share=0.99, note="p99"),
            Claim("server CPU for a run"),
            Claim("server", unit="MB"),
            Claim("growth of the server", unit="MB"),
            Claim("a kernel", unit="MB"),
            Claim("descriptors of the server", unit="n"),
            Claim("threads of the server", unit="n"),
        ),
        _open,
        rounds=3,
    ),
)
