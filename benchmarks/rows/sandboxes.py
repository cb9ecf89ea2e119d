"""Sandboxes: how soon a new one has answered its first line of code, and how soon one is gone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.floors import bwrap
from benchmarks.floors.jupyter import async_jupyter
from benchmarks.measure import Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, SandboxOf, Service, check_success
from benchmarks.workbench import Workbench

_PROCESSES = 200
_CROWD = f"for i in $(seq {_PROCESSES}); do sleep 1000 & done; echo on; wait"


@contextmanager
def _open_new(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service() as service:
        _sandbox_over_http(service)
        yield [
            lambda: {"execd": [_sandbox_over_http(service)]},
            lambda: {"cold in bwrap": [_cold_in_bwrap()]},
        ]


def _sandbox_over_http(service: Service) -> float:
    with service.client() as client:
        started = time.perf_counter()
        sandbox = SandboxOf(client)
        answer = Interpreter(client, sandbox.root).run("1+1")
        seconds = time.perf_counter() - started
        check_success(answer)
        sandbox.delete()
    return seconds


def _cold_in_bwrap() -> float:
    started = time.perf_counter()
    with async_jupyter("ipc", bwrap.walls) as stock:
        stock.run("1+1")
        return time.perf_counter() - started


@contextmanager
def _open_crowd(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service() as service, tempfile.TemporaryDirectory(prefix="crowd") as folder:
        yield [
            lambda: {"execd": [_destroyed(service)]},
            lambda: {"bwrap": [bwrap.killed(Path(folder), _CROWD)]},
        ]


def _destroyed(service: Service) -> float:
    with service.client() as client:
        sandbox = SandboxOf(client)
        order = {"command": _CROWD.replace("wait", "disown -a")}
        client.request("POST", f"{sandbox.root}/command", order)
        started = time.perf_counter()
        sandbox.delete()
        return time.perf_counter() - started


ROWS = (
    Row(
        "new-sandbox",
        "how soon a new sandbox with a context has answered its first line",
        "s",
        (Claim("execd", "cold in bwrap", AtMost(0.25)),),
        _open_new,
    ),
    Row(
        "destroy-200",
        "how soon a sandbox is gone in which 200 processes run",
        "s",
        (Claim("execd", "bwrap"),),
        _open_crowd,
    ),
)
