"""The store: what journaling into it costs, and how soon a long past is there again."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from sqlalchemy import Connection

from benchmarks.client import events
from benchmarks.errors import RowFailed
from benchmarks.measure import Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Service, serving
from benchmarks.workbench import Workbench
from execd.events import Complete, Status, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service.budget import OutputBudget
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.journal import Journal
from execd.service.meters import Meters
from execd.service.recorder import recording
from execd.settings import Settings
from execd.store import executions as rows
from execd.store.engine import FILE, database_url
from execd.store.executions import ExecutionRow
from execd.store.store import Store

_EVENTS = 100_000
# As many as a drain of a busy kernel's socket brings.
_TOGETHER = 100
_RUNS = 100_000
_PAGE = 100
_NODE = "node_bench"
_LINE = Stdout("a line of output, as long as lines of output are\n")


@contextmanager
def _journaling(_: Workbench) -> Iterator[Sequence[Take]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench") as folder,
        Store.open(database_url(None, Path(folder)), _NODE) as store,
    ):
        yield [
            lambda: {"execd": [anyio.run(_with_store, store)]},
            lambda: {"without a store": [anyio.run(_without_store)]},
        ]


async def _with_store(store: Store) -> float:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        origin = Origin(f"run_{time.monotonic_ns()}", "ctx_1", "python")
        return await _emitted(await executions.new(ExecuteRequest("code"), origin))


async def _without_store() -> float:
    budget = OutputBudget(1 << 30, 1 << 20, 1 << 30)
    origin = Origin("run_1", "ctx_1", "python")
    return await _emitted(Execution.new(origin, ExecuteRequest("code"), Journal(), budget, lambda _: None))


async def _emitted(execution: Execution) -> float:
    """The seconds until all events of a run are journaled, and kept where that is done."""
    started = time.perf_counter()
    execution.start()
    for number in range(_EVENTS):
        execution.emit(_LINE)
        if number % _TOGETHER == 0:
            await checkpoint()
    execution.finish(Complete(Status.SUCCEEDED))
    await execution.ended.wait()
    return time.perf_counter() - started


@contextmanager
def _resuming(workbench: Workbench) -> Iterator[Sequence[Take]]:
    with workbench.service() as service, service.interpreter() as interpreter:
        code = f"for i in range({_EVENTS}): display({{'text/plain': str(i)}}, raw=True)"
        execution_id = str(events(interpreter.succeed(code).body)[0]["execution_id"])
        yield [
            lambda: {"execd": [_resumed(service, execution_id)]},
            lambda: {"raw sqlite": [_raw(service.folder / "data", _records, execution_id)]},
        ]


def _resumed(service: Service, execution_id: str) -> float:
    with service.client() as client:
        started = time.perf_counter()
        answer = client.request("GET", f"/code/executions/{execution_id}/events")
        seconds = time.perf_counter() - started
    count = answer.body.count(b"\nid: ") + 1
    if count < _EVENTS:
        raise RowFailed(f"{count} of {_EVENTS} events came")
    return seconds


def _records(connection: sqlite3.Connection, execution_id: str) -> int:
    query = "SELECT data FROM journal WHERE execution_id = ? ORDER BY first"
    return sum(len(data.split(b"\n")) for (data,) in connection.execute(query, (execution_id,)))


@contextmanager
def _listing(workbench: Workbench) -> Iterator[Sequence[Take]]:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        data = Path(folder, "data")
        data.mkdir()
        (data / "node").write_text(_NODE)
        anyio.run(_fill, data)
        with serving(Path(folder), dict(workbench.settings)) as service:
            last = _cursor_of_last_page(service)
            yield [
                lambda: {"execd, first page": [_listed(service, "")], "execd, last page": [_listed(service, last)]},
                lambda: {"raw sqlite": [_raw(data, _newest, _PAGE)]},
            ]


async def _fill(data: Path) -> None:
    with Store.open(database_url(None, data), _NODE) as store:
        for begin in range(0, _RUNS, 1000):
            await store.write(partial(_add, begin))


def _add(begin: int, connection: Connection) -> None:
    for number in range(begin, begin + 1000):
        rows.add(connection, _ended(number))


def _ended(number: int) -> ExecutionRow:
    now = time.time_ns() // 1_000_000
    return ExecutionRow(
        id=f"run_{number:012}",
        node=_NODE,
        tenant="default",
        sandbox_id="default",
        context_id="ctx_1",
        language="python",
        dialect="execd",
        status="succeeded",
        request={"code": "print(1 + 1)"},
        created_at=now,
        started_at=now,
        finished_at=now,
        complete=Complete(Status.SUCCEEDED).payload(),
        last_seq=2,
        end_seq=2,
        size=200,
    )


def _cursor_of_last_page(service: Service) -> str:
    cursor = ""
    with service.client() as client:
        while True:
            found = client.request("GET", f"/v1/executions?limit=1000{cursor}").json()
            if not found["next_cursor"]:
                return cursor
            cursor = f"&cursor={found['next_cursor']}"


def _listed(service: Service, cursor: str) -> float:
    with service.client() as client:
        started = time.perf_counter()
        found = client.request("GET", f"/v1/executions?limit={_PAGE}{cursor}").json()
        seconds = time.perf_counter() - started
    if len(found["items"]) != _PAGE:
        raise RowFailed(f"a page of {len(found['items'])} came")
    return seconds


def _newest(connection: sqlite3.Connection, count: int) -> int:
    return len(connection.execute("SELECT * FROM executions ORDER BY number DESC LIMIT ?", (count,)).fetchall())


def _raw(data: Path, ask: Callable[[sqlite3.Connection, Any], int], asked: Any) -> float:
    with closing(sqlite3.connect(f"file:{data / FILE}?mode=ro", uri=True)) as connection:
        started = time.perf_counter()
        if not ask(connection, asked):
            raise RowFailed("the database holds nothing of it")
        return time.perf_counter() - started


ROWS = (
    Row(
        "journaling",
        "how long 100,000 events take to be journaled, and kept",
        "s",
        (Claim("execd", "without a store", AtMost(1.1)),),
        _journaling,
    ),
    Row(
        "resume-100k",
        "how soon a journal of 100,000 events has come again",
        "s",
        (Claim("execd", "raw sqlite"),),
        _resuming,
        rounds=3,
    ),
    Row(
        "list-100k",
        "how soon a page of 100 of 100,000 runs is there",
        "s",
        (Claim("execd, first page", "raw sqlite"), Claim("execd, last page", "raw sqlite")),
        _listing,
    ),
)
