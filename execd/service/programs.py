"""Programs: started in a thread or where nothing is kept, one at a time in a thread, not too many of a tenant.

A thread is a sandbox whose id follows from its name. Its home stays; what else a program has left is thrown away before
the next one starts, if not sooner. A thread is free when the program's end is in its journal, which is before anybody
is told of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from weakref import WeakValueDictionary

import anyio
import anyio.abc
import structlog

from execd.errors import (
    ExecdError,
    ExecutionNotFound,
    NotRunning,
    SandboxFailed,
    SandboxNotFound,
    ThreadBusy,
    ThreadNotFound,
    TooManyPrograms,
)
from execd.events import Keepalive
from execd.isolation.root import Root
from execd.isolation.trees import clear
from execd.service.caller import tenant
from execd.service.execution import Execution, Origin
from execd.service.program import Program, passing_sandbox, thread_sandbox, thread_sandbox_id
from execd.service.sandbox import Sandbox
from execd.service.sandboxes import Sandboxes

log = structlog.get_logger(__name__)

# In the detail of a program's execution: whether its sandbox stays, and whether its journal says that it is alive.
_KEPT = "kept"
_ALIVE = "alive"


@asynccontextmanager
async def open_programs(sandboxes: Sandboxes) -> AsyncIterator[Programs]:
    """Programs, while the block runs."""
    async with anyio.create_task_group() as tasks:
        programs = Programs(sandboxes, tasks)
        programs.resume()
        yield programs
        tasks.cancel_scope.cancel()


class Programs:
    """Starts programs, and looks after them until they have ended. What that takes belongs to `tasks`."""

    def __init__(self, sandboxes: Sandboxes, tasks: anyio.abc.TaskGroup) -> None:
        self._sandboxes = sandboxes
        self._settings = sandboxes.settings
        self._tasks = tasks
        self._starting: list[tuple[str, str]] = []
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def start(self, program: Program, origin: Origin, *, alive: bool = False) -> Execution:
        """Start a program; its execution, which is recorded and has this origin, tells the rest. While it is silent its
        journal says that it is `alive`, if that is wanted. Raises ThreadBusy and TooManyPrograms, before anything is
        done; and what making a sandbox raises, and StorageFull."""
        origin = replace(origin, tenant=tenant())
        with self._claimed(program.thread, origin):
            sandbox = await self._place_for(program)
            detail = {**origin.detail, _KEPT: program.thread is not None, _ALIVE: alive}
            execution = await sandbox.commands.start(program.command, replace(origin, detail=detail))
        self._tasks.start_soon(self._attend, sandbox, execution)
        return execution

    def resume(self) -> None:
        """Look after the programs that run already, which others have started."""
        for sandbox in self._sandboxes.living():
            for command in sandbox.commands.under_way():
                if command.alone:
                    self._tasks.start_soon(self._attend, sandbox, command.execution)

    async def get(self, execution_id: str, dialect: str) -> Execution:
        """The execution of an API with this id. Raises ExecutionNotFound, StorageFull."""
        found = await self._sandboxes.executions.get(execution_id)
        if (found.origin.tenant, found.origin.dialect) != (tenant(), dialect):
            raise ExecutionNotFound(execution_id)
        return found

    def cancel(self, execution: Execution) -> None:
        """Have it killed; its journal tells when it is over. Raises NotRunning."""
        if execution.journal.ended:
            raise NotRunning(execution.id)
        execution.cancel()

    async def thread(self, thread: str, *, make: bool = False) -> Sandbox:
        """The sandbox that a thread is; a new one where there is none and it is to be made. Raises ThreadNotFound, and
        what making a sandbox raises."""
        sandbox_id = thread_sandbox_id(tenant(), thread)
        async with self._turn(sandbox_id):
            try:
                return await self._sandboxes.enter(sandbox_id)
            except SandboxNotFound:
                if not make:
                    raise ThreadNotFound(thread) from None
            wanted = thread_sandbox(thread, self._settings.thread_idle_timeout)
            await self._sandboxes.create(wanted, sandbox_id=sandbox_id)
            return await self._sandboxes.enter(sandbox_id)

    @contextmanager
    def _claimed(self, thread: str | None, origin: Origin) -> Iterator[None]:
        claim = (origin.tenant, "" if thread is None else thread_sandbox_id(origin.tenant, thread))
        if thread is not None and self._busy(claim[1]):
            raise ThreadBusy(thread)
        starting = sum(owner == origin.tenant for owner, _ in self._starting)
        running = len(self._sandboxes.executions.under_way(origin.tenant, origin.dialect)) + starting
        if running >= self._settings.max_programs:
            raise TooManyPrograms(running, self._settings.max_programs)
        self._starting.append(claim)
        try:
            yield
        finally:
            self._starting.remove(claim)

    def _busy(self, sandbox_id: str) -> bool:
        if any(claimed == sandbox_id for _, claimed in self._starting):
            return True
        commands = [sandbox.commands for sandbox in self._sandboxes.living() if sandbox.id == sandbox_id]
        return any(command.alone for each in commands for command in each.under_way())

    async def _place_for(self, program: Program) -> Sandbox:
        if program.thread is None:
            record = await self._sandboxes.create(passing_sandbox(program.timeout))
            return await self._sandboxes.enter(record.id)
        sandbox = await self.thread(program.thread, make=True)
        async with self._turn(sandbox.id):
            try:
                await _throw_away(sandbox)
            except (OSError, ExecdError) as error:
                raise SandboxFailed(sandbox.id, "cleared", str(error)) from error
        return sandbox

    async def _attend(self, sandbox: Sandbox, execution: Execution) -> None:
        structlog.contextvars.clear_contextvars()
        detail = execution.origin.detail
        if detail.get(_ALIVE):
            await say_alive(execution, self._settings.ping_interval)
        await execution.ended.wait()
        try:
            await (self._tidy(sandbox) if detail.get(_KEPT) else self._remove(sandbox))
        except (OSError, ExecdError) as error:
            log.warning("program_left_something", sandbox_id=sandbox.id, why=str(error))

    async def _tidy(self, sandbox: Sandbox) -> None:
        async with self._turn(sandbox.id):
            # The next one may have begun, in folders that were cleared for it.
            if not sandbox.gone.is_set() and not self._busy(sandbox.id) and not sandbox.commands.under_way():
                await _throw_away(sandbox)

    async def _remove(self, sandbox: Sandbox) -> None:
        with suppress(SandboxNotFound):
            await self._sandboxes.delete(sandbox.id)

    def _turn(self, sandbox_id: str) -> anyio.Lock:
        found = self._turns.get(sandbox_id)
        if found is None:
            found = self._turns[sandbox_id] = anyio.Lock()
        return found


async def say_alive(execution: Execution, every: float) -> None:
    """Let the journal grow until its end: when nothing has come for this many seconds, or twice as many, by a
    keepalive."""
    while not execution.ended.is_set():
        before = execution.journal.last_seq
        with anyio.move_on_after(every):
            await execution.ended.wait()
        if execution.journal.last_seq == before and not execution.journal.ended:
            execution.emit(Keepalive())


async def _throw_away(sandbox: Sandbox) -> None:
    for folder in sandbox.place.scratch:
        await sandbox.files.run(partial(_clear, sandbox.place.root, folder))


def _clear(root: Root, folder: PurePath) -> None:
    if not _is_itself_a_folder(root, folder):
        # Where it is in the home, a program may have put anything in its place.
        with root.entry(folder) as entry, suppress(FileNotFoundError):
            entry.unlink()
        root.add_folder(folder)
    with root.itself(folder) as found:
        clear(found)


def _is_itself_a_folder(root: Root, path: PurePath) -> bool:
    with suppress(FileNotFoundError), root.itself(path) as found:
        return stat.S_ISDIR(os.fstat(found).st_mode)
    return False
