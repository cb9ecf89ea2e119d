"""Who may start commands as whom: decided before anything is started."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from execd.errors import InvalidRequest
from execd.isolation.launch import Launcher
from execd.service.commands import CommandRequest, Commands, Family
from execd.service.environment import Environment
from execd.service.executions import Executions
from execd.service.meters import Meters
from execd.service.recorder import Recorder
from execd.service.workspace import Workspace
from execd.settings import Settings
from execd.store.engine import database_url
from execd.store.store import Store
from tests.machine import MACHINE


@pytest.mark.parametrize(("uid", "gid"), [(1001, None), (1000, 1001), (0, None), (0, 0)])
async def test_one_who_is_not_root_cannot_become_somebody_else(
    launcher: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, gid: int | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    with Store.open(database_url(None, tmp_path), "node") as store:
        await _refused(
            Executions(Settings(data_dir=tmp_path), Recorder(store), Meters()), launcher, tmp_path, (uid, gid)
        )


async def _refused(executions: Executions, launcher: Launcher, tmp_path: Path, who: tuple[int, int | None]) -> None:
    async with anyio.create_task_group() as tasks:
        environment = Environment(MACHINE, {}, {}, tmp_path / "envs")
        commands = Commands(executions.of("sb_1"), launcher, environment, Workspace(MACHINE, tmp_path), tasks, Family())
        with pytest.raises(InvalidRequest, match="can start nothing as another user"):
            await commands.start(CommandRequest("true", uid=who[0], gid=who[1]))
    assert len(executions) == 0
