"""Sandboxes: made, found, ended, paused and given time, in places that can be frozen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from execd.errors import (
    ExecutionNotFound,
    FreezeUnavailable,
    NotOffered,
    SandboxExpired,
    SandboxFailed,
    SandboxNotFound,
    SandboxNotReady,
    ShuttingDown,
    TooManySandboxes,
)
from execd.events import Status
from execd.isolation.plan import Bind
from execd.service import opening as module
from execd.service.commands import CommandRequest
from execd.service.folders import Folders
from execd.service.meters import Meters
from execd.service.narrowing import Narrowing
from execd.service.opening import open_sandboxes
from execd.service.place import MachinePlace, MachinePlaces, Place
from execd.service.record import Network, SandboxRecord, SandboxRequest, SandboxStatus, TimeoutAction
from execd.service.sandboxes import Sandboxes
from execd.settings import Settings
from execd.store.executions import Wanted
from execd.warden.keeper import Keeper


@dataclass(eq=False)
class FreezablePlace(MachinePlace):
    """A place that says what was done to it."""

    frozen: anyio.Event = field(default_factory=anyio.Event)
    thawed: anyio.Event = field(default_factory=anyio.Event)
    closed: anyio.Event = field(default_factory=anyio.Event)

    async def freeze(self) -> None:
        self.frozen.set()

    async def thaw(self) -> None:
        self.thawed.set()

    async def close(self) -> None:
        await super().close()
        self.closed.set()


class FreezablePlaces(MachinePlaces):
    """Makes them, or fails to."""

    capabilities = replace(MachinePlaces.capabilities, freeze=True)
    failure: OSError | None = None

    def __init__(self, settings: Settings, folders: Folders, keeper: Keeper, ordinary_files: int | None) -> None:
        super().__init__(settings, folders, keeper, ordinary_files)
        self.made: list[FreezablePlace] = []
        newest.places = self

    async def open(self, record: SandboxRecord) -> Place:
        if self.failure is not None:
            raise self.failure
        place = await super().open(record)
        assert isinstance(place, MachinePlace)
        self.made.append(FreezablePlace(**{name: getattr(place, name) for name in MachinePlace.__dataclass_fields__}))
        return self.made[-1]


class Newest:
    """The places of the sandboxes that were opened last."""

    places: FreezablePlaces


newest = Newest()


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Sandboxes]:
    """Sandboxes whose data is in `folder`."""
    async with open_sandboxes(
        Settings(data_dir=folder / "data", isolation="process", **settings), Meters()
    ) as sandboxes:
        yield sandboxes


@pytest.fixture
async def sandboxes(tmp_path: Path) -> AsyncIterator[Sandboxes]:
    """Sandboxes on the machine."""
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
def freezable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let places be such as can be frozen."""
    monkeypatch.setattr(module, "MachinePlaces", FreezablePlaces)


async def test_a_sandbox_is_made_and_deleted(sandboxes: Sandboxes, tmp_path: Path) -> None:
    record = await sandboxes.create(SandboxRequest(envs={"A": "1"}, metadata={"b": "2"}))
    assert (record.status, record.timeout, record.metadata) == (SandboxStatus.RUNNING, 300, {"b": "2"})
    assert record.id.startswith("sb_")
    assert len(record.id) == 15
    folder = tmp_path / "data" / "sandboxes" / record.id
    assert (folder / "workspace").is_dir()
    ended = await sandboxes.delete(record.id)
    assert ended.status is SandboxStatus.ENDED
    assert not folder.exists()
    with pytest.raises(SandboxNotFound) as refused:
        sandboxes.get(record.id)
    assert not isinstance(refused.value, SandboxExpired)


async def test_default_is_made_on_first_use_and_listed_nowhere(sandboxes: Sandboxes) -> None:
    with pytest.raises(SandboxNotFound):
        sandboxes.get("default")
    first = await sandboxes.enter("default")
    assert await sandboxes.enter("default") is first
    assert sandboxes.records() == []
    assert sandboxes.get("default").expires_at is None


async def test_default_is_made_once_for_all_who_come_first(sandboxes: Sandboxes) -> None:
    found = []

    async def come() -> None:
        found.append(await sandboxes.enter("default"))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(come)
    assert len(set(found)) == 1


async def test_what_belongs_to_another_sandbox_does_not_exist(sandboxes: Sandboxes) -> None:
    ids = [(await sandboxes.create(SandboxRequest())).id for _ in range(2)]
    mine, other = [await sandboxes.enter(sandbox_id) for sandbox_id in ids]
    execution = await mine.commands.start(CommandRequest("pwd"))
    await execution.ended.wait()
    assert (await mine.executions.get(execution.id)).id == execution.id
    with pytest.raises(ExecutionNotFound):
        await other.executions.get(execution.id)
    assert (await other.executions.page(Wanted(), 9)).items == []


async def test_each_has_variables_of_its_own(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(envs={"MINE": "yes"}))
    other = await sandboxes.create(SandboxRequest())
    assert await output(sandboxes, record.id, 'echo "$MINE"; echo K=v >>"$EXECD_ENVS"') == "yes\n"
    assert await output(sandboxes, record.id, 'echo "$K"') == "v\n"
    assert await output(sandboxes, other.id, 'echo "$MINE$K"') == "\n"


async def output(sandboxes: Sandboxes, sandbox_id: str, line: str) -> str:
    """What a shell line prints in a sandbox."""
    sandbox = await sandboxes.enter(sandbox_id)
    execution = await sandbox.commands.start(CommandRequest(line, background=True))
    await execution.ended.wait()
    return (await sandbox.commands.log(execution.id, 0, 1000)).decode()


async def test_deleting_ends_what_runs(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest())
    execution = await (await sandboxes.enter(record.id)).commands.start(CommandRequest("sleep 1000"))
    await sandboxes.delete(record.id)
    assert execution.status is Status.CANCELLED
    assert execution.error is not None
    assert execution.error.ename == "SandboxDeleted"


async def test_there_may_only_be_so_many(tmp_path: Path) -> None:
    async with opened(tmp_path, max_sandboxes=1) as sandboxes:
        await sandboxes.enter("default")
        record = await sandboxes.create(SandboxRequest())
        with pytest.raises(TooManySandboxes):
            await sandboxes.create(SandboxRequest())
        await sandboxes.delete(record.id)
        await sandboxes.create(SandboxRequest())


async def test_the_same_key_makes_one(sandboxes: Sandboxes) -> None:
    first = await sandboxes.create(SandboxRequest(), "key")
    assert (await sandboxes.create(SandboxRequest(), "key")).id == first.id
    assert (await sandboxes.create(SandboxRequest(), "other")).id != first.id
    await sandboxes.delete(first.id)
    assert (await sandboxes.create(SandboxRequest(), "key")).id != first.id


@pytest.mark.usefixtures("freezable")
async def test_a_sandbox_ends_with_its_time(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(timeout=0.05))
    execution = await (await sandboxes.enter(record.id)).commands.start(CommandRequest("sleep 1000"))
    await execution.ended.wait()
    assert execution.complete is not None
    assert (execution.complete.status, execution.complete.reason) == (Status.FAILED, "sandbox_lost")
    await newest.places.made[-1].closed.wait()
    with pytest.raises(SandboxExpired, match="its time was over"):
        sandboxes.get(record.id)


@pytest.mark.usefixtures("freezable")
async def test_a_sandbox_ends_that_nobody_uses(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(timeout=0, idle_timeout=0.05))
    execution = await (await sandboxes.enter(record.id)).commands.start(CommandRequest("sleep 0.2"))
    await newest.places.made[-1].closed.wait()
    # Not as long as something ran in it.
    assert execution.status is Status.SUCCEEDED
    with pytest.raises(SandboxExpired, match="nobody has used it"):
        sandboxes.get(record.id)


@pytest.mark.usefixtures("freezable")
async def test_time_can_be_given_and_taken(tmp_path: Path) -> None:
    async with opened(tmp_path, sandbox_timeout_max=1000) as sandboxes:
        record = await sandboxes.create(SandboxRequest(timeout=100))
        longer = sandboxes.set_timeout(record.id, 200, None)
        assert longer.timeout == 200
        assert sandboxes.set_timeout(record.id, None, None).timeout == 1000
        until = record.created_at + 500_000
        assert sandboxes.renew(record.id, until).expires_at == pytest.approx(until, abs=2)
        sandboxes.renew(record.id, record.created_at - 1)
        await newest.places.made[-1].closed.wait()


async def test_metadata_is_merged_and_removed(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(metadata={"a": "1", "b": "2"}))
    changed = sandboxes.set_metadata(record.id, {"b": None, "c": "3"})
    assert changed.metadata == sandboxes.get(record.id).metadata == {"a": "1", "c": "3"}


async def test_a_fork_has_a_copy_of_the_workspace(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(envs={"A": "1"}, metadata={"m": "1"}))
    await output(sandboxes, record.id, "echo before >file")
    fork = await sandboxes.fork(record.id, lambda made: replace(made, metadata={"n": "2"}))
    await output(sandboxes, record.id, "echo after >file")
    assert await output(sandboxes, fork.id, 'cat file; echo "$A"') == "before\n1\n"
    assert (fork.origin, fork.metadata, fork.wanted.envs) == (record.id, {"n": "2"}, {"A": "1"})
    assert fork.copied in ("reflink", "copy")


@pytest.mark.usefixtures("freezable")
async def test_pausing_and_resuming(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest())
    place = newest.places.made[-1]
    assert (await sandboxes.pause(record.id)).status is SandboxStatus.PAUSED
    assert place.frozen.is_set()
    with pytest.raises(SandboxNotReady, match="is paused"):
        await sandboxes.enter(record.id)
    assert (await sandboxes.pause(record.id)).status is SandboxStatus.PAUSED
    resumed = await sandboxes.resume(record.id)
    assert (resumed.status, place.thawed.is_set()) == (SandboxStatus.RUNNING, True)


@pytest.mark.usefixtures("freezable")
async def test_a_paused_sandbox_is_thawed_to_end(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest())
    await sandboxes.pause(record.id)
    await sandboxes.delete(record.id)
    assert newest.places.made[-1].thawed.is_set()


@pytest.mark.usefixtures("freezable")
async def test_a_sandbox_can_be_paused_when_its_time_is_over(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(timeout=0.05, timeout_action=TimeoutAction.PAUSE))
    await newest.places.made[-1].frozen.wait()
    await anyio.wait_all_tasks_blocked()
    assert sandboxes.get(record.id).expires_at is None


async def test_where_nothing_can_be_frozen(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest())
    with pytest.raises(FreezeUnavailable):
        await sandboxes.pause(record.id)
    with pytest.raises(FreezeUnavailable):
        await sandboxes.create(SandboxRequest(timeout_action=TimeoutAction.PAUSE))
    with pytest.raises(FreezeUnavailable):
        sandboxes.set_timeout(record.id, 1, TimeoutAction.PAUSE)


@pytest.mark.usefixtures("freezable")
async def test_a_place_that_cannot_be_made_leaves_nothing(sandboxes: Sandboxes) -> None:
    newest.places.failure = OSError(28, "No space left on device")
    with pytest.raises(SandboxFailed, match="could not be made: No space left"):
        await sandboxes.create(SandboxRequest())
    assert sandboxes.records() == []


async def test_volumes_take_walls(sandboxes: Sandboxes, tmp_path: Path) -> None:
    with pytest.raises(NotOffered):
        await sandboxes.create(SandboxRequest(volumes=(Bind(str(tmp_path), "/mnt"),)))
    assert sandboxes.records() == []


async def test_none_is_made_while_the_service_ends(sandboxes: Sandboxes) -> None:
    await sandboxes.close()
    with pytest.raises(ShuttingDown):
        await sandboxes.create(SandboxRequest())


@pytest.mark.usefixtures("freezable")
async def test_a_sandbox_whose_place_is_lost_ends(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest())
    execution = await (await sandboxes.enter(record.id)).commands.start(CommandRequest("sleep 1000"))
    newest.places.made[-1].lost.set()
    await execution.ended.wait()
    assert execution.complete is not None
    assert execution.complete.reason == "sandbox_lost"
    with pytest.raises(SandboxExpired, match="processes were lost"):
        sandboxes.get(record.id)


async def test_what_would_be_more_network_than_was_asked_for_is_refused(sandboxes: Sandboxes) -> None:
    record = await sandboxes.create(SandboxRequest(network=Network(internet=True)))
    for network in (Network(internet=False), Network(rules=Narrowing())):
        with pytest.raises(NotOffered):
            await sandboxes.create(SandboxRequest(network=network))
        with pytest.raises(NotOffered):
            sandboxes.set_network(record.id, network)
