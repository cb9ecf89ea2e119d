"""The terminals of a sandbox: made, found, deleted, and all ended with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import structlog

from execd.errors import ShuttingDown, TerminalNotFound, TooManyTerminals
from execd.identifiers import new_id
from execd.isolation.launch import Launcher
from execd.isolation.pseudoterminal import open_pair
from execd.service.descriptors import check_descriptors
from execd.service.environment import Environment, expand_path
from execd.service.line import Mode
from execd.service.shell import ShellCommand
from execd.service.terminal import Terminal
from execd.service.workspace import Workspace

log = structlog.get_logger(__name__)

MARKS = "pty_"
"""How the marks of what runs in terminals begin."""


class Terminals:
    """Every terminal by id. What ends one belongs to `tasks`, so that it comes to its end whoever asked for it."""

    def __init__(
        self, launcher: Launcher, environment: Environment, workspace: Workspace, most: int, tasks: anyio.abc.TaskGroup
    ) -> None:
        self._launcher = launcher
        self._environment = environment
        self._workspace = workspace
        self._most = most
        self._tasks = tasks
        self._all: dict[str, Terminal] = {}
        self._open = True

    def get(self, terminal_id: str) -> Terminal:
        """The terminal with this id. Raises TerminalNotFound."""
        try:
            return self._all[terminal_id]
        except KeyError:
            raise TerminalNotFound(terminal_id) from None

    def create(self, cwd: str | None = None, command: str = "") -> Terminal:
        """A new terminal, whose shell starts in `cwd`, made when missing, once a client attaches; it runs `command`
        where there is one. Raises LimitReached, WorkingFolderUnusable, InvalidRequest, ShuttingDown."""
        if not self._open:
            raise ShuttingDown
        if len(self._all) >= self._most:
            raise TooManyTerminals(self._most)
        check_descriptors()
        expanded = expand_path(cwd, self._environment.lasting(), "cwd") if cwd else None
        folder = self._workspace.usable(expanded)
        terminal_id = new_id(MARKS.removesuffix("_"))
        terminal = Terminal(terminal_id, self._launcher, partial(self._shell_command, folder, terminal_id, command))
        self._all[terminal_id] = terminal
        log.info("terminal_created", terminal_id=terminal_id)
        return terminal

    async def delete(self, terminal_id: str) -> None:
        """End a terminal and everything that runs in it. Raises TerminalNotFound."""
        terminal = self.get(terminal_id)
        del self._all[terminal_id]
        ended = anyio.Event()
        self._tasks.start_soon(self._end, terminal, ended)
        await ended.wait()

    async def close(self) -> None:
        """End every terminal, all at once, and accept no new one. Safe to call twice."""
        self._open = False
        async with anyio.create_task_group() as group:
            for terminal in self._all.values():
                group.start_soon(terminal.close)

    async def _end(self, terminal: Terminal, ended: anyio.Event) -> None:
        with anyio.CancelScope(shield=True):
            await terminal.close()
        ended.set()
        log.info("terminal_deleted", terminal_id=terminal.id)

    def _shell_command(self, folder: Path, terminal_id: str, command: str, mode: Mode) -> ShellCommand:
        screen = {"TERM": "xterm-256color"} if mode is Mode.PTY else {}
        environment = self._environment.build(folder, screen)
        return ShellCommand(folder, environment, terminal_id, command, partial(open_pair, self._workspace.root))
