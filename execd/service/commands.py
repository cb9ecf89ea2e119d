"""The commands of a sandbox: started, found again, stopped."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.abc
from anyio import to_thread

from execd.errors import (
    CommandNotFound,
    ExecutionNotFound,
    InvalidRequest,
    NotRunning,
    ProcessNotFound,
    ShuttingDown,
    StorageFull,
    UserNotInside,
)
from execd.events import Error, Reason
from execd.isolation.launch import Launcher
from execd.kernel.adopting import Adopted
from execd.kernel.child import ChildSpec
from execd.kernel.request import ExecuteRequest
from execd.kernel.tree import kill_marked
from execd.service.command import ALONE, Command
from execd.service.context import SERVICE_ENDED
from execd.service.descriptors import FOR_WHAT_ENDS, check_descriptors
from execd.service.environment import Environment, expand_path
from execd.service.execution import Execution, Origin
from execd.service.executions import SandboxExecutions
from execd.service.output_log import OutputLog
from execd.service.run import Ending
from execd.service.workspace import Workspace, check_folder

LANGUAGE = "command"

_MERGED = "merged"
# Ended ones whose pid, input and place in the list of processes are still known.
_REMEMBERED = 200


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """What is asked for: a shell line or an argv, exactly one of them. `timeout` in seconds, None or 0 for none. With
    `input` it has a pipe for its stdin, which would otherwise be empty, or hold what is `given`. What an `alone` one
    leaves running ends with it, and it is killed when it is to stop. `source` is what is shown of it, if not its
    words; what becomes of it is told to the `webhook_url`, where no origin says otherwise."""

    line: str | None = None
    argv: tuple[str, ...] | None = None
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    uid: int | None = None
    gid: int | None = None
    background: bool = False
    input: bool = False
    given: bytes | None = None
    alone: bool = False
    source: str | None = None
    webhook_url: str | None = None

    @property
    def content(self) -> str:
        """The command as it is shown again: its source, the line, or the argv as a JSON array."""
        if self.source is not None:
            return self.source
        return self.line if self.line is not None else json.dumps(list(self.argv or ()))


@dataclass(frozen=True, slots=True)
class Family:
    """What the commands of a sandbox have in common: the beginning of the marks of all of them, which no other sandbox
    has, and the only user and group of the machine that there may be, None where that is the service."""

    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    owner: tuple[int, int] | None = None


class Commands:
    """The commands that run, and some that have ended; of the others there are the executions. Their tasks belong to
    `tasks`."""

    def __init__(
        self,
        executions: SandboxExecutions,
        launcher: Launcher,
        environment: Environment,
        workspace: Workspace,
        tasks: anyio.abc.TaskGroup,
        family: Family,
    ) -> None:
        self._launcher = launcher
        self._owner = family.owner
        self._executions = executions
        self._environment = environment
        self._workspace = workspace
        self._tasks = tasks
        self._family = f"{family.mark}-"
        self._all: dict[str, Command] = {}
        self._logs: dict[str, OutputLog] = {}
        self._closing: Ending | None = None

    async def start(self, request: CommandRequest, origin: Origin | None = None) -> Execution:
        """Start a command, one in the background until it has a process or could not be started; its execution, which
        is recorded and has this origin, tells the rest. Raises InvalidRequest, LimitReached, ShuttingDown,
        StorageFull."""
        if self._closed():
            raise ShuttingDown
        check_descriptors(FOR_WHAT_ENDS)
        origin = origin or Origin(uuid.uuid4().hex, None, LANGUAGE, webhook_url=request.webhook_url)
        spec = self._spec(request, self._family + origin.execution_id)
        alone = {ALONE: True} if request.alone else {}
        origin = replace(origin, detail={**origin.detail, _MERGED: spec.merge_stderr, **alone})
        execution = await self._executions.new(ExecuteRequest(request.content, request.timeout), origin)
        if self._closed():
            # While it was being recorded.
            execution.fail(Reason.SERVICE_RESTARTED, Error("ServiceEnded", "it was not started"))
            raise ShuttingDown
        command = Command(self._launcher, execution, spec, request.timeout or None, with_input=request.input)
        self._remember(command)
        self._tasks.start_soon(command.carry_out)
        if request.background:
            # Whoever does not wait for its end may ask at once what has become of it.
            await command.spawned.wait()
        return execution

    def adopt(self, started: Adopted, execution: Execution) -> None:
        """One that an earlier service has started. Raises OSError."""
        command = Command.adopt(self._launcher, execution, started, execution.request.timeout or None)
        self._remember(command)
        if not execution.journal.ended:
            self._tasks.start_soon(command.carry_out)

    def identity_of(self, label: str) -> str | None:
        """The execution whose process has this label; None where it is no command's."""
        return label.removeprefix(self._family) if label.startswith(self._family) else None

    def living(self, command_id: str) -> Command:
        """The command with this id that runs, or has ended a short time ago. Raises CommandNotFound."""
        try:
            return self._all[command_id]
        except KeyError:
            raise CommandNotFound(command_id) from None

    async def execution(self, command_id: str) -> Execution:
        """A command's execution, as long as its record is kept. Raises CommandNotFound, StorageFull."""
        try:
            found = await self._executions.get(command_id)
        except ExecutionNotFound:
            raise CommandNotFound(command_id) from None
        if found.language != LANGUAGE:
            raise CommandNotFound(command_id)
        return found

    def under_way(self) -> list[Command]:
        """Those that have not come to their end, which nobody is told of before it is one."""
        return [command for command in self._all.values() if not command.execution.journal.ended]

    def list(self) -> list[Command]:
        """The commands that have a process, or had one a short time ago, from the oldest to the newest."""
        return [command for command in self._all.values() if command.pid is not None]

    def by_pid(self, pid: str) -> Command:
        """The newest command with this process number. Raises ProcessNotFound."""
        for command in reversed(self.list()):
            if str(command.pid) == pid:
                return command
        raise ProcessNotFound(pid)

    def has(self, command_id: str) -> bool:
        """Whether there is a command with this id that runs, or has ended a short time ago."""
        return command_id in self._all

    def count_running(self) -> int:
        """How many commands run."""
        return sum(not command.execution.ended.is_set() for command in self._all.values())

    async def stop(self, command_id: str) -> Execution:
        """Stop a running command; returns when it has ended. Raises CommandNotFound, NotRunning."""
        execution = self.living(command_id).execution
        if execution.ended.is_set():
            raise NotRunning(command_id)
        execution.cancel()
        await execution.ended.wait()
        return execution

    async def log(self, command_id: str, offset: int, most: int) -> bytes:
        """Up to `most` bytes of a background command's output from `offset`. Raises CommandNotFound, also for a
        foreground one: its two streams have no order among each other; and StorageFull."""
        execution = await self.execution(command_id)
        if not execution.origin.detail.get(_MERGED):
            raise CommandNotFound(command_id)
        command = self._all.get(command_id)
        if command is None:
            return await OutputLog(execution.journal).read(offset, most)
        output = self._logs.setdefault(command_id, OutputLog(command.execution.journal))
        with suppress(StorageFull):
            await self._executions.keep()
        # What the budget may still leave out must not be read here and be missing later.
        return await output.read(
            offset, most, lambda: command.pending if command.execution.would_journal(command.pending) else ""
        )

    async def close(self, ending: Ending = SERVICE_ENDED) -> None:
        """End every command like this, with all that ended ones have left running, and start no more. Safe to call
        twice."""
        self._closing = ending
        async with anyio.create_task_group() as group:
            for command in list(self._all.values()):
                group.start_soon(command.close, ending)
        await to_thread.run_sync(kill_marked, self._family)

    async def leave(self) -> None:
        """Leave every command as it is to a later service, and start no more."""
        self._closing = SERVICE_ENDED
        async with anyio.create_task_group() as group:
            for command in self._all.values():
                group.start_soon(command.leave)

    def _closed(self) -> bool:
        return self._closing is not None

    def _remember(self, command: Command) -> None:
        self._all[command.execution.id] = command
        ended = [known for known, command in self._all.items() if command.execution.ended.is_set()]
        for command_id in ended[:-_REMEMBERED]:
            del self._all[command_id]
            self._logs.pop(command_id, None)

    def _spec(self, request: CommandRequest, marker: str) -> ChildSpec:
        cwd = self._folder(request.cwd)
        env = self._environment.build(cwd, request.env)
        self._check_identity(request.uid, request.gid)
        argv, *instead = _argvs(request)
        return ChildSpec(
            argv,
            cwd,
            env,
            marker,
            request.uid,
            request.gid,
            merge_stderr=request.background,
            instead=tuple(instead),
            stdin=request.given,
        )

    def _check_identity(self, uid: int | None, gid: int | None) -> None:
        # Behind walls everything runs as the sandbox's one user, whoever it was asked to be.
        if uid is None:
            return
        own = self._owner or (os.geteuid(), os.getegid())
        try:
            who = self._workspace.root.accounts.outside(uid, uid if gid is None else gid)
        except UserNotInside as refused:
            raise InvalidRequest(str(refused), "uid") from refused
        same = who[0] == own[0] and (gid is None or who[1] == own[1])
        if not same and (self._owner is not None or os.geteuid() != 0):
            raise InvalidRequest(f"commands run as uid {own[0]} here, which can start nothing as another user", "uid")

    def _folder(self, cwd: str | None) -> Path:
        if not cwd:
            return self._workspace.path
        folder = self._workspace.path / expand_path(cwd, self._environment.lasting(), "cwd")
        check_folder(self._workspace.root, folder, "cwd")
        return folder


def _argvs(request: CommandRequest) -> list[tuple[str, ...]]:
    """What to start, the first that is there."""
    if request.argv is not None:
        return [request.argv]
    return [(shell, "-c", request.line or "") for shell in ("bash", "/bin/bash", "/bin/sh")]
