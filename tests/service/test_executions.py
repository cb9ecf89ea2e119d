"""All executions, and the retention that bounds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.errors import ExecutionNotFound
from execd.events import Complete, Status, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service import executions as module
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions, Retention, oldest_goes
from execd.service.journal import now_ms
from execd.service.meters import Meters
from execd.settings import Settings

KEEP = Retention(count=3, age=10, size=1000)


@pytest.mark.parametrize(
    ("count", "size", "age_ms", "goes"),
    [
        (1, 10, 0, False),
        (3, 1000, 10_000, False),
        (4, 10, 0, True),
        (1, 10, 10_001, True),
        (2, 1001, 0, True),
        (1, 1001, 0, False),
        (1, 10, -5_000, False),
        (4, 2000, 99_999, True),
    ],
)
def test_when_the_oldest_goes(count: int, size: int, age_ms: int, goes: bool) -> None:
    assert oldest_goes(count, size, 1_000_000, KEEP, 1_000_000 + age_ms) is goes


class Kept:
    """Executions under a retention, and a clock."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, **settings: object) -> None:
        self.folder = folder
        self.now = now_ms() + 1_000_000
        patch.setattr(module, "now_ms", lambda: self.now)
        self.all = Executions(Settings.model_validate(settings), folder, Meters())
        self._numbers = iter(range(1000))

    def new(self, context_id: str = "ctx_1") -> Execution:
        origin = Origin(f"run_{next(self._numbers)}", context_id, "python")
        execution = self.all.new(ExecuteRequest("1"), origin)
        execution.journal.clock = lambda: self.now
        return execution

    def ended(self, output: int = 0, context_id: str = "ctx_1") -> Execution:
        execution = self.new(context_id)
        execution.start()
        if output:
            execution.emit(Stdout("x" * output))
        execution.finish(Complete(Status.SUCCEEDED))
        return execution

    def ids(self) -> list[str]:
        return [execution.id for execution in self.all.newest_first()]


def test_what_was_made_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch)
    execution = kept.new()
    assert kept.all.get(execution.id) is execution
    assert kept.all.has(execution.id)
    assert len(kept.all) == 1
    with pytest.raises(ExecutionNotFound, match="run_nope"):
        kept.all.get("run_nope")


def test_they_are_listed_newest_first_by_context_and_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch)
    one, two, three = kept.ended(), kept.new("ctx_2"), kept.new()
    listed = kept.all.newest_first
    assert list(listed()) == [three, two, one]
    assert list(listed(context_id="ctx_1")) == [three, one]
    assert list(listed(status=Status.QUEUED)) == [three, two]
    assert list(listed("ctx_1", Status.SUCCEEDED)) == [one]
    assert list(listed("ctx_3")) == []


def test_the_oldest_of_too_many_go_with_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch, keep_executions=2)
    waiting = kept.new()
    ended = [kept.ended(output=50_000) for _ in range(5)]
    assert kept.ids() == [ended[4].id, ended[3].id, waiting.id]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ended[3].id, ended[4].id])


def test_what_ended_first_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch, keep_executions=1)
    slow = kept.new()
    slow.start()
    quick = kept.ended()
    slow.finish(Complete(Status.SUCCEEDED))
    assert not kept.all.has(quick.id)
    assert kept.ids() == [slow.id]


def test_what_is_too_old_goes_when_somebody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch, keep_executions_age=60)
    execution = kept.ended()
    kept.now += 60_000
    assert kept.all.get(execution.id) is execution
    kept.now += 1
    with pytest.raises(ExecutionNotFound):
        kept.all.get(execution.id)


def test_the_journals_share_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch, keep_executions_size=100_000)
    ended = [kept.ended(output=30_000) for _ in range(5)]
    assert kept.ids() == [execution.id for execution in reversed(ended[2:])]


def test_one_that_is_too_large_stays_until_the_next_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch, keep_executions_size=10_000)
    large = kept.ended(output=50_000)
    assert kept.ids() == [large.id]
    small = kept.ended()
    assert kept.ids() == [small.id]


def test_late_output_does_not_spoil_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path, monkeypatch, keep_executions=2, keep_executions_size=100_000)
    for _ in range(4):
        kept.ended().emit(Stdout("x" * 90_000))
    ended = [kept.ended(output=60_000) for _ in range(4)]
    # Two of these are more than the size allows, whatever came late to those that are gone.
    assert kept.ids() == [ended[-1].id]
