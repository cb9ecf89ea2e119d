"""A client that reads slowly what a run prints fast: the service must not keep it in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.client import Answer, HttpClient
from benchmarks.errors import RowFailed
from benchmarks.measure import Samples, Take
from benchmarks.processes import forget_peak, peak_rss, rss
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Interpreter, Service, printed
from benchmarks.workbench import Workbench

_MB = 1_000_000
_SIZE = 400 * _MB
_CODE = f'for i in range({_SIZE // 1000}): print("x" * 999)'
_SIP = 64 * 1024
_PAUSE = 0.05


@contextmanager
def _open(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service(output_budget=str(2 * _SIZE)) as service, service.interpreter() as interpreter:
        yield [lambda: _growth(service, interpreter)]


def _growth(service: Service, interpreter: Interpreter) -> Samples:
    interpreter.client.refresh()
    before = rss(service.pid)
    forget_peak(service.pid)
    interpreter.client.send("POST", "/code", interpreter.order(_CODE))
    head, start = interpreter.client.read_head()
    sipped = start + _sip_until_it_ended(interpreter.client, service, Answer(head, []).header("execd-execution-id"))
    while_printing = peak_rss(service.pid) - before
    answer = Answer(head, interpreter.client.read_chunks(sipped))
    if len(printed(answer)) != _SIZE:
        raise RowFailed("output was lost on its way to a slow reader")
    return {"while the code prints": [while_printing], "until all is read": [peak_rss(service.pid) - before]}


def _sip_until_it_ended(client: HttpClient, service: Service, execution_id: str) -> bytes:
    sips: list[bytes] = []
    with service.client() as observer:
        while observer.request("GET", f"/code/executions/{execution_id}").json()["status"] in ("queued", "running"):
            sips.append(client.receive(_SIP))
            time.sleep(_PAUSE)
    return b"".join(sips)


ROWS = (
    Row(
        "slow-reader",
        "whether 400 MB for a slow reader weigh on everybody: growth of the server's memory",
        "MB",
        (
            Claim("while the code prints", None, AtMost(32 * _MB)),
            Claim("until all is read", None, AtMost(32 * _MB)),
        ),
        _open,
        rounds=2,
    ),
)
