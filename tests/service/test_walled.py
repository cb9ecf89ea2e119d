"""The order in which a place behind walls is undone, with a warden that only takes notes."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from execd.isolation.plan import Mode, Plan
from execd.isolation.root import Root
from execd.service.capabilities import Capabilities
from execd.service.folders import Folders
from execd.service.packages import KernelPython
from execd.service.record import Network, SandboxRecord, SandboxRequest, SandboxStatus, TimeoutAction
from execd.service.walled import WalledPlaces
from execd.service.walls import Walls
from execd.service.watchdog import Watchdog
from execd.settings import Settings

PYTHON = KernelPython("/usr/bin/python3.12", "3.12.4", (), prefixes=("/usr",))


class Noting:
    """Keeper, warden, enclosure and users: `notes` has what was asked of them, in order. Users are ourselves, so that
    folders can be given to them."""

    def __init__(self, folders: Folders) -> None:
        self.notes: list[str] = []
        self._folders = folders
        self.default = os.getuid()

    async def warden(self) -> Noting:
        return self

    async def open(self, plan: Plan) -> Noting:
        self.notes.append("opened")
        self.plan = plan
        return self

    async def close(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.notes.append("closed")

    def take(self) -> int:
        self.notes.append("user taken")
        return os.getuid()

    def give_back(self, _uid: int) -> None:
        left = [*self._folders.sandboxes.iterdir(), *self._folders.runtime.iterdir()]
        self.notes.append("user given back" if not left else "user given back too early")

    def usage(self) -> Any: ...

    async def members(self) -> list[int]:
        return []


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": tmp_path / "data", "workspace": tmp_path / "workspace"})


@pytest.fixture
def folders(settings: Settings) -> Iterator[Folders]:
    with Folders.claim(settings) as claimed:
        yield claimed


@pytest.fixture
def noting(folders: Folders) -> Noting:
    return Noting(folders)


@pytest.fixture
async def places(settings: Settings, folders: Folders, noting: Any) -> AsyncIterator[WalledPlaces]:
    walls = Walls(Mode.LANDLOCK, True, PYTHON, frozenset(), Capabilities(Mode.LANDLOCK, freeze=True, volumes=False))
    async with anyio.create_task_group() as tasks:
        yield WalledPlaces(settings, folders, noting, walls, noting, lambda: noting, Watchdog(), tasks)


def record() -> SandboxRecord:
    return SandboxRecord(
        "s1", SandboxRequest(), SandboxStatus.CREATING, 0, None, TimeoutAction.DELETE, None, {}, Network()
    )


async def test_a_user_is_given_back_when_nothing_of_the_sandbox_is_left(places: WalledPlaces, noting: Noting) -> None:
    place = await places.open(record())
    await place.close()
    assert noting.notes == ["user taken", "opened", "closed", "user given back"]
    await place.close()
    assert len(noting.notes) == 4


async def test_what_fails_after_the_walls_are_there_leaves_none(
    places: WalledPlaces, noting: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor(*_: object, **__: object) -> Root:
        raise OSError(errno.EMFILE, "no descriptor is free")

    monkeypatch.setattr(Root, "machine", no_descriptor)
    with pytest.raises(OSError, match="no descriptor is free"):
        await places.open(record())
    assert noting.notes == ["user taken", "opened", "closed", "user given back"]


async def test_one_that_is_given_up_while_it_is_made_leaves_nothing(places: WalledPlaces, noting: Noting) -> None:
    asked = anyio.Event()

    async def slow() -> Noting:
        asked.set()
        await anyio.sleep_forever()
        return noting

    noting.warden = slow  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(places.open, record())
        await asked.wait()
        group.cancel_scope.cancel()
    assert noting.notes == ["user taken", "user given back"]
