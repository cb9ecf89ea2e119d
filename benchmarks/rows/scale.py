"""As much as one machine is to hold: 500 living contexts in one sandbox, and 500 in 100 sandboxes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.client import HttpClient
from benchmarks.measure import Samples, Take
from benchmarks.processes import cpu_shares, descriptors, pss, threads, warden_in
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, SandboxOf, Service, check_success
from benchmarks.workbench import Workbench

_CONTEXTS = 500
_SANDBOXES = 100
_ALONE = 100
_SOME = 50
_IDLE_SECONDS = 20.0
# By then whatever follows the last run is over.
_SETTLED_SECONDS = 5.0


@contextmanager
def _open_contexts(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service(warm_kernels="0", max_contexts=str(_CONTEXTS)) as service:
        yield [lambda: _measured(service, lambda client, _: Interpreter(client))]


@contextmanager
def _open_sandboxes(workbench: Workbench) -> Iterator[list[Take]]:
    settings = {"warm_kernels": "0", "max_sandboxes": str(_SANDBOXES), "sandbox_timeout": "0"}
    with workbench.service(**settings) as service:
        sandboxes: list[SandboxOf] = []

        def make(client: HttpClient, number: int) -> Interpreter:
            if number < _SANDBOXES:
                sandboxes.append(SandboxOf(client))
            return Interpreter(client, sandboxes[number % _SANDBOXES].root)

        yield [lambda: {**_measured(service, make), **_ended(service, sandboxes)}]


def _measured(service: Service, make: Callable[[HttpClient, int], Interpreter]) -> Samples:
    with service.client() as client:
        contexts, made = [], list[float]()
        alone: list[float] = []
        for number in range(_CONTEXTS):
            started = time.perf_counter()
            contexts.append(make(client, number))
            contexts[-1].succeed("1+1")
            made.append(time.perf_counter() - started)
            alone = alone or [contexts[0].timed("1+1")[0] for _ in range(_ALONE)]
        return {
            "all made": [sum(made)],
            "the last made": made[-_SOME:],
            "the first made": made[:_SOME],
            "1+1 with none besides": alone,
            "1+1 in one, again and again": [contexts[0].timed("1+1")[0] for _ in range(_ALONE)],
            "1+1 in each": _in_each(contexts),
            **_used(service),
        }


def _in_each(contexts: Sequence[Interpreter]) -> list[float]:
    timed = [context.timed("1+1") for context in random.Random(1).sample(contexts, len(contexts))]
    for _, answer in timed:
        check_success(answer)
    return [seconds for seconds, _ in timed]


def _used(service: Service) -> Samples:
    time.sleep(_SETTLED_SECONDS)
    warden, others = warden_in(service.folder), service.others()
    pids = {"server": [service.pid], "warden": [warden], "kernels": [pid for pid in others if pid != warden]}
    return {
        **{f"{name} at idle": [share] for name, share in cpu_shares(pids, _IDLE_SECONDS).items()},
        "memory of each": [sum(map(pss, others)) / _CONTEXTS],
        "memory of the server": [pss(service.pid)],
        "memory of the warden": [pss(warden)],
        "descriptors of the server": [descriptors(service.pid)],
        "descriptors of the warden": [descriptors(warden)],
        "threads of the server": [threads(service.pid)],
        "threads of a context": [sum(map(threads, others)) / _CONTEXTS],
    }


def _ended(service: Service, sandboxes: Sequence[SandboxOf]) -> Samples:
    with service.client() as client:
        taken: list[float] = []
        for sandbox in sandboxes:
            started = time.perf_counter()
            client.request("DELETE", sandbox.path)
            taken.append(time.perf_counter() - started)
    return {"a sandbox ended": taken}


_CLAIMS = (
    Claim("all made"),
    Claim("the last made", "the first made", note=f"{_SOME} each"),
    Claim("1+1 in one, again and again", "1+1 with none besides", note="p50"),
    Claim("1+1 in each", "1+1 with none besides", note="p50"),
    Claim("1+1 in each", note="p50"),
    Claim("1+1 in each", share=0.99, note="p99"),
    Claim("server at idle", None, AtMost(0.01), unit="%"),
    Claim("warden at idle", unit="%"),
    Claim("kernels at idle", unit="%"),
    Claim("memory of each", unit="MB"),
    Claim("memory of the server", unit="MB"),
    Claim("memory of the warden", unit="MB"),
    Claim("descriptors of the server", unit="n"),
    Claim("descriptors of the warden", unit="n"),
    Claim("threads of the server", unit="n"),
    Claim("threads of a context", unit="n"),
)
ROWS = (
    Row(
        "500-contexts",
        f"what {_CONTEXTS} living contexts cost, and how soon one of them answers",
        "s",
        _CLAIMS,
        _open_contexts,
        rounds=1,
    ),
    Row(
        "100-sandboxes",
        f"the same where they are in {_SANDBOXES} sandboxes, made with the first context of each",
        "s",
        (*_CLAIMS, Claim("a sandbox ended")),
        _open_sandboxes,
        rounds=1,
    ),
)
