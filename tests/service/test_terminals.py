"""The collection of terminals: limits, folders, environments, and an end for all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from execd.errors import (
    InvalidRequest,
    ShuttingDown,
    TerminalGone,
    TerminalNotFound,
    TooManyTerminals,
    WorkingFolderUnusable,
)
from execd.isolation.launch import Launcher
from execd.service.environment import Environment
from execd.service.line import Mode
from execd.service.terminals import Terminals
from execd.service.workspace import Workspace
from tests.machine import MACHINE
from tests.service.terminal_probe import ENVIRONMENT, attach


@asynccontextmanager
async def open_terminals(launcher: Launcher, folder: Path, most: int = 10) -> AsyncIterator[Terminals]:
    """Terminals whose shells are gone after the block."""
    environment = Environment(MACHINE, ENVIRONMENT, {"PLACE": "there"}, folder / "envs")
    async with anyio.create_task_group() as tasks:
        workspace = Workspace(MACHINE, folder / "workspace")
        terminals = Terminals(launcher, environment, workspace, most, tasks)
        try:
            yield terminals
        finally:
            with anyio.CancelScope(shield=True):
                await terminals.close()


async def test_a_terminal_is_found_until_it_is_deleted(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminals(launcher, tmp_path) as terminals:
        terminal = terminals.create()
        assert terminals.get(terminal.id) is terminal
        await terminals.delete(terminal.id)
        with pytest.raises(TerminalNotFound):
            terminals.get(terminal.id)
        with pytest.raises(TerminalNotFound):
            await terminals.delete(terminal.id)


async def test_there_is_a_most(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminals(launcher, tmp_path, most=1) as terminals:
        terminal = terminals.create()
        with pytest.raises(TooManyTerminals, match="already 1 "):
            terminals.create()
        await terminals.delete(terminal.id)
        terminals.create()


async def test_the_folder_is_below_the_workspace_expanded_and_made(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminals(launcher, tmp_path) as terminals:
        probe = attach(terminals.create("a/$PLACE", "pwd"))
        assert await probe.rest() == f"{tmp_path}/workspace/a/there\r\n".encode()


async def test_a_folder_that_cannot_be_made_is_refused(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with open_terminals(launcher, tmp_path) as terminals:
        with pytest.raises(WorkingFolderUnusable):
            terminals.create(str(tmp_path / "file" / "below"))
        with pytest.raises(InvalidRequest, match="NOWHERE"):
            terminals.create("$NOWHERE")


async def test_a_shell_has_the_environment_of_everything_else_as_it_is_when_it_starts(
    launcher: Launcher, tmp_path: Path
) -> None:
    async with open_terminals(launcher, tmp_path) as terminals:
        terminal = terminals.create(None, 'echo "$PLACE,$GIVEN,$TERM,$PWD"')
        (tmp_path / "envs").write_text("GIVEN=later\n")
        workspace = tmp_path / "workspace"
        assert await attach(terminal).rest() == f"there,later,xterm-256color,{workspace}\r\n".encode()
        piped = terminals.create(None, 'echo "$TERM,$GIVEN"')
        assert await attach(piped, Mode.PIPE).rest() in (b",later\n", b"dumb,later\n")


async def test_closing_ends_them_all_and_takes_no_new_one(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminals(launcher, tmp_path) as terminals:
        probes = [attach(terminals.create()) for _ in range(3)]
        await terminals.close()
        await terminals.close()
        assert [type(probe.attachment.ending) for probe in probes] == [TerminalGone] * 3
        assert [probe.terminal.running for probe in probes] == [False] * 3
        with pytest.raises(ShuttingDown):
            terminals.create()


async def test_a_deletion_comes_to_its_end_when_nobody_waits_for_it(launcher: Launcher, tmp_path: Path) -> None:
    async with open_terminals(launcher, tmp_path) as terminals:
        terminal = terminals.create(None, "trap 'touch hung-up; exit' HUP; echo ready; while :; do sleep 0.01; done")
        await attach(terminal).until(rb"ready")
        with anyio.move_on_after(0):
            await terminals.delete(terminal.id)
        async with anyio.create_task_group() as group:
            group.start_soon(terminal.close)
        assert not terminal.running
        assert (tmp_path / "workspace" / "hung-up").exists()
