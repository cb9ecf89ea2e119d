"""What contexts that nobody uses cost in memory: their kernels, and the service itself. Shared pages count once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks.floors.jupyter import async_jupyter
from benchmarks.measure import Samples, Take
from benchmarks.processes import pss
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, SandboxOf
from benchmarks.workbench import Workbench

_MB = 1_000_000
_KERNELS = 10
_NOTHING = "1+1"
_DATA = "import numpy, pandas, matplotlib.pyplot"


@contextmanager
def _open_kernels(code: str, workbench: Workbench) -> Iterator[list[Take]]:
    yield [lambda: _of_contexts(workbench, code), lambda: _of_stock_kernels(code)]


def _of_contexts(workbench: Workbench, code: str) -> Samples:
    with workbench.service(warm_kernels="0") as service, ExitStack() as stack:
        for _ in range(_KERNELS):
            stack.enter_context(service.interpreter()).succeed(code)
        return {"execd": [sum(map(pss, service.others())) / _KERNELS]}


def _of_stock_kernels(code: str) -> Samples:
    with ExitStack() as stack:
        kernels = [stack.enter_context(async_jupyter("tcp")) for _ in range(_KERNELS)]
        for kernel in kernels:
            kernel.run(code)
        return {"stock kernel": [sum(pss(kernel.pid) for kernel in kernels) / _KERNELS]}


@contextmanager
def _open_sandboxes(workbench: Workbench) -> Iterator[list[Take]]:
    yield [lambda: _of_sandboxes(workbench)]


def _of_sandboxes(workbench: Workbench) -> Samples:
    with workbench.service(warm_kernels="0") as service, service.client() as client:
        for _ in range(_KERNELS):
            Interpreter(client, SandboxOf(client).root).succeed(_NOTHING)
        return {"execd": [sum(map(pss, service.others())) / _KERNELS]}


@contextmanager
def _open_server(workbench: Workbench) -> Iterator[list[Take]]:
    yield [lambda: _of_server(workbench)]


def _of_server(workbench: Workbench) -> Samples:
    sizes: dict[int, float] = {}
    with workbench.service() as service, ExitStack() as stack:
        for count in range(21):
            if count:
                stack.enter_context(service.interpreter())
            sizes[count] = pss(service.pid)
    return {
        "server, no context": [sizes[0]],
        "server, 10 contexts": [sizes[10]],
        "server, 20 contexts": [sizes[20]],
        "a context in the server": [(sizes[20] - sizes[10]) / 10],
    }


ROWS = (
    Row(
        "kernel-memory",
        "how much memory an idle context keeps",
        "MB",
        (Claim("execd", None, AtMost(12 * _MB)), Claim("execd", "stock kernel")),
        partial(_open_kernels, _NOTHING),
        rounds=1,
    ),
    Row(
        "kernel-memory-data",
        "the same after `import numpy, pandas, matplotlib.pyplot`",
        "MB",
        (Claim("execd", None, AtMost(16 * _MB)), Claim("execd", "stock kernel")),
        partial(_open_kernels, _DATA),
        rounds=1,
    ),
    Row(
        "sandbox-memory",
        "how much memory a sandbox with one idle context keeps",
        "MB",
        (Claim("execd", None, AtMost(22 * _MB)),),
        _open_sandboxes,
        rounds=1,
    ),
    Row(
        "server-memory",
        "how much memory the service itself takes",
        "MB",
        (
            Claim("server, no context"),
            Claim("server, 10 contexts"),
            Claim("server, 20 contexts"),
            Claim("a context in the server"),
        ),
        _open_server,
        rounds=2,
    ),
)
