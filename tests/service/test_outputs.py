"""What an execution has brought forth, folded from its journal."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from execd.events import (
    ClearOutput,
    Complete,
    ContextRestarted,
    Display,
    DisplayUpdate,
    Error,
    Event,
    ExecutionCount,
    Init,
    Result,
    ServiceRestarted,
    Status,
    StatusChanged,
    Stderr,
    Stdout,
    Truncated,
    encode,
)
from execd.service import outputs as module
from execd.service.outputs import Outputs, outputs_of
from tests.service.stage import new_execution


def shown(text: str, display_id: str | None = None) -> Display:
    """A display of a text."""
    return Display({"text/plain": text}, {}, display_id)


def updated(text: str, display_id: str) -> DisplayUpdate:
    """New content for displays."""
    return DisplayUpdate({"text/plain": text}, {}, display_id)


def folded(events: Sequence[Event]) -> Outputs:
    """The fold of a journal."""
    found = Outputs()
    found.add(encode(event, seq, 5) for seq, event in enumerate(events, start=1))
    return found


def texts(found: Outputs) -> list[Any]:
    """The results' texts."""
    return [result.data["text/plain"] for result in found.results]


END = Complete(Status.SUCCEEDED)
NOW, LATER = ClearOutput(wait=False), ClearOutput(wait=True)

# What came; the results, stdout and stderr that stand afterwards.
FOLDS: dict[str, tuple[list[Event], list[str], list[str], list[str]]] = {
    "nothing": ([Init("run_1", "ctx_1"), StatusChanged("running"), ContextRestarted(2, "why"), END], [], [], []),
    "chunks stay as they came": ([Stdout("a"), Stdout("b\nc\n"), Stderr("d")], [], ["a", "b\nc\n"], ["d"]),
    "results in their order": ([shown("1"), Result({"text/plain": "2"}, {})], ["1", "2"], [], []),
    "an update": ([shown("0 %", "bar"), shown("other"), updated("100 %", "bar")], ["100 %", "other"], [], []),
    "an update of every display with the id": (
        [shown("a", "x"), shown("b", "x"), updated("c", "x"), updated("d", "x")],
        ["d", "d"],
        [],
        [],
    ),
    "an update of what is not there": ([updated("c", "x"), shown("a", "y")], ["a"], [], []),
    "a display after an update with its id": (
        [shown("a", "x"), updated("b", "x"), shown("c", "x")],
        ["b", "c"],
        [],
        [],
    ),
    "cleared": ([Stdout("a"), shown("1"), Stderr("e"), NOW], [], [], []),
    "cleared, and more": ([Stdout("a"), shown("1"), NOW, Stdout("b"), shown("2")], ["2"], ["b"], []),
    "cleared when more comes": ([Stdout("a"), LATER, Stdout("b"), Stdout("c")], [], ["b", "c"], []),
    "cleared when a result comes": ([Stdout("a"), shown("1"), LATER, shown("2")], ["2"], [], []),
    "cleared when an error comes": ([Stdout("a"), LATER, Error("E", "e")], [], [], []),
    "nothing more came": ([Stdout("a"), shown("1"), LATER, END], ["1"], ["a"], []),
    "an update is not more": ([shown("1", "x"), LATER, updated("2", "x")], ["2"], [], []),
    "cleared displays have no updates": ([shown("1", "x"), NOW, updated("2", "x")], [], [], []),
    "what is missing is told": (
        [Stdout("a"), Truncated("stdout", 5, 9), Stdout("z")],
        [],
        ["a", "z"],
        ["[execd: 5 of 9 bytes of stdout were left out here]\n"],
    ),
    "what may be missing is told": (
        [ServiceRestarted(3)],
        [],
        [],
        ["[execd: the service was restarted; output after event 3 and before this one may be missing]\n"],
    ),
    "what came late is none of it": (
        [Stdout("a"), END, Stdout("b", late=True), Display({}, {}, late=True)],
        [],
        ["a"],
        [],
    ),
}


@pytest.mark.parametrize("name", FOLDS)
def test_folds(name: str) -> None:
    events, results, stdout, stderr = FOLDS[name]
    found = folded(events)
    assert (texts(found), found.stdout, found.stderr) == (results, stdout, stderr)


def test_a_result_has_its_whole_bundle_and_nothing_besides() -> None:
    bundle = {"image/png": "aGk=", "application/json": {"text": 1}}
    found = folded([Display(bundle, {"width": 3}), Result({"text/plain": "x", "text/html": "<b>"}, {})])
    assert [result.data for result in found.results] == [bundle, {"text/plain": "x", "text/html": "<b>"}]
    assert [result.is_main for result in found.results] == [False, True]


def test_the_last_error_and_the_last_count() -> None:
    found = folded([ExecutionCount(1), Error("A", "a"), ExecutionCount(2), Error("B", "b", ("1", "2")), NOW])
    assert found.error == {"ename": "B", "evalue": "b", "traceback": ["1", "2"]}
    assert found.execution_count == 2
    assert folded([Complete(Status.SUCCEEDED, execution_count=3)]).execution_count == 3
    assert folded([ExecutionCount(1), END]).execution_count == 1


def test_artifacts_are_not_cleared() -> None:
    found = Outputs()
    found.add([b'{"type":"artifact","seq":1,"timestamp":5,"artifact":{"id":"art_1"}}', encode(NOW, 2, 5)])
    assert found.artifacts == [{"id": "art_1"}]


async def test_a_journal_is_folded_slice_by_slice(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    for number in range(3000):
        execution.emit(Stdout(f"{number}\n"))
    found = await outputs_of(execution)
    assert found.stdout == [f"{number}\n" for number in range(3000)]
    assert found.execution_count is None


@pytest.mark.parametrize(("size", "on_the_loop"), [(10, True), (100_000, False)])
async def test_long_ones_leave_the_loop_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, on_the_loop: bool
) -> None:
    threads: list[int] = []

    class Watched(Outputs):
        def add(self, records: Any) -> None:
            threads.append(threading.get_ident())
            Outputs.add(self, records)

    monkeypatch.setattr(module, "Outputs", Watched)
    execution = new_execution(tmp_path)
    execution.start()
    execution.emit(Stdout("x" * size))
    assert sum(map(len, (await outputs_of(execution)).stdout)) == size
    assert {thread == threading.get_ident() for thread in threads} == {on_the_loop}
