"""What an earlier service has left in the warden, taken over: sandboxes with their contexts, commands, and runs.

The store says what there was, and the warden what there is. What both have is adopted; a sandbox that only the store
has is lost, and one that only the warden has is closed. A run goes on where its interpreter still carries it out, or
ends as that tells; one that waited still waits, and is carried out once; of all others it is said that the service was
restarted under them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog
from anyio import to_thread
from sqlalchemy import Connection

from execd.errors import ExecdError, ExecutionNotFound, KernelStartFailed, UnknownLanguage
from execd.isolation.trees import wipe
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.trace import KernelTrace
from execd.kernel.tree import kill_marked
from execd.service.context import Left
from execd.service.execution import Execution
from execd.service.executions import Executions
from execd.service.folders import Folders
from execd.service.keeping import ContextRecord, SandboxTrace
from execd.service.record import SandboxRecord, SandboxStatus
from execd.service.record_codec import record_from_json
from execd.service.registry import Registry
from execd.service.sandbox import Sandbox
from execd.service.sandboxes import Sandboxes
from execd.service.terminals import MARKS
from execd.store.living import ContextRow, SandboxRow, all_contexts, all_sandboxes, remove_ended
from execd.warden.client import Enclosure, Warden

log = structlog.get_logger(__name__)

_REMEMBERED = 1000
_GONE = "its kernel ended while there was no service"


@dataclass
class _Found:
    """What the store has of a node; of executions those that have not ended."""

    sandboxes: list[SandboxRow]
    contexts: list[ContextRow]
    executions: dict[str, Execution] = field(default_factory=dict)


class Adoption:
    """Takes over what there is, once, before anything is served."""

    def __init__(self, sandboxes: Sandboxes, executions: Executions, registry: Registry, folders: Folders) -> None:
        self._sandboxes = sandboxes
        self._executions = executions
        self._registry = registry
        self._folders = folders

    async def carry_out(self, warden: Warden) -> None:
        """Do it. Raises StorageFull where the store cannot be read."""
        found = await self._find()
        for execution in list(found.executions.values()):
            if await self._sandboxes.agency.runs.adopt(execution):
                del found.executions[execution.id]
        enclosures = dict(warden.enclosures)
        for row in found.sandboxes:
            record = _record_of(row)
            if row.ended_at is not None and record is not None:
                self._sandboxes.remember(record)
            elif row.ended_at is None:
                await self._take_over(row, record, found, enclosures.pop(row.id, None))
        for enclosure in enclosures.values():
            log.warning("sandbox_left_over", sandbox_id=enclosure.plan.id, processes=len(enclosure.children))
            await enclosure.close()
        for execution in found.executions.values():
            self._executions.abandon(execution)
        await self._sandboxes.agency.runs.go_on()
        await self._registry.flush()
        await self._registry.store.write(partial(remove_ended, node=self._registry.node, keep=_REMEMBERED))
        await to_thread.run_sync(self._folders.keep_only, {sandbox.id for sandbox in self._sandboxes.living()})

    async def _find(self) -> _Found:
        node = self._registry.node

        def work(connection: Connection) -> _Found:
            return _Found(all_sandboxes(connection, node), all_contexts(connection, node))

        found = await self._registry.store.read(work)
        found.executions = {execution.id: execution for execution in await self._executions.unfinished()}
        return found

    async def _take_over(
        self, row: SandboxRow, record: SandboxRecord | None, found: _Found, enclosure: Enclosure | None
    ) -> None:
        sandbox = None if record is None or enclosure is None else await self._adopted(record, row, enclosure)
        if sandbox is None or enclosure is None:
            if enclosure is not None:
                await enclosure.close()
            log.warning("sandbox_lost", sandbox_id=row.id)
            if record is not None:
                self._sandboxes.lose(record)
            return
        for context in found.contexts:
            if context.sandbox_id == row.id:
                await self._adopt_context(sandbox, context, enclosure, _take(found, context.id))
        await self._adopt_commands(sandbox, enclosure, found)
        await _clear(sandbox, enclosure)
        log.info("sandbox_adopted", sandbox_id=row.id, contexts=len(sandbox.contexts.list()))

    async def _adopted(self, record: SandboxRecord, row: SandboxRow, enclosure: Enclosure) -> Sandbox | None:
        if record.status is SandboxStatus.CREATING:
            return None
        try:
            return await self._sandboxes.adopt(record, SandboxTrace.from_json(row.trace), enclosure)
        except (ExecdError, OSError, KeyError, TypeError, ValueError) as error:
            log.warning("sandbox_not_adopted", sandbox_id=row.id, why=str(error))
            return None

    async def _adopt_context(
        self, sandbox: Sandbox, row: ContextRow, enclosure: Enclosure, runs: list[Execution]
    ) -> None:
        try:
            record = ContextRecord.from_json(row.record)
            spec = sandbox.kernelspecs.get(record.language)
        except (KeyError, TypeError, ValueError, UnknownLanguage) as error:
            log.warning("context_not_adopted", context_id=row.id, why=str(error))
            for execution in runs:
                self._executions.abandon(execution)
            return
        kernel, lost = await _kernel_of(sandbox, row, spec, record, enclosure, runs)
        left = Left(
            kernel,
            record.generation,
            lost,
            row.created_at,
            record.idle_since,
            tuple(self._to_be_run(runs, kernel is not None, may_have_begun=row.trace is not None)),
        )
        contexts = sandbox.sessions if record.kind == "session" else sandbox.contexts
        contexts.adopt(row.id, spec, record.cwd, left, default=record.default).name = record.name

    def _to_be_run(self, runs: Sequence[Execution], goes_on: bool, *, may_have_begun: bool) -> list[Execution]:
        """What is still to be carried out: not what a kernel that is gone may have begun."""
        wanted: list[Execution] = []
        for place, execution in enumerate(runs):
            asked_to_end = execution.cancel_requested_at is not None
            begun = execution.started_at is not None or (place == 0 and may_have_begun)
            if (begun or asked_to_end) and not (place == 0 and goes_on):
                self._executions.abandon(execution)
                continue
            if asked_to_end:
                execution.cancel_requested.set()
            wanted.append(execution)
        return wanted

    async def _adopt_commands(self, sandbox: Sandbox, enclosure: Enclosure, found: _Found) -> None:
        for label in [child.label for child in enclosure.children]:
            identity = sandbox.commands.identity_of(label)
            if identity is None:
                continue
            with suppress(ExecutionNotFound, OSError):
                execution = found.executions.get(identity) or await sandbox.executions.get(identity)
                for child in enclosure.claim(label):
                    sandbox.commands.adopt(child, execution)
                    found.executions.pop(identity, None)


async def _kernel_of(
    sandbox: Sandbox,
    row: ContextRow,
    spec: KernelSpec,
    record: ContextRecord,
    enclosure: Enclosure,
    runs: Sequence[Execution],
) -> tuple[Interpreter | None, str | None]:
    """A context's living interpreter, and why its state is lost, if it is."""
    if row.trace is None:
        return None, record.state_lost
    request = runs[0].id if runs else ""
    try:
        return await sandbox.starter.adopt(spec, record.cwd, row.trace, enclosure.claim, request), record.state_lost
    except KernelStartFailed as error:
        log.warning("kernel_not_adopted", context_id=row.id, why=str(error))
        return None, _GONE


def _record_of(row: SandboxRow) -> SandboxRecord | None:
    try:
        return record_from_json(row.record)
    except ValueError as error:
        log.warning("sandbox_not_understood", sandbox_id=row.id, why=str(error))
        return None


def _take(found: _Found, context_id: str) -> list[Execution]:
    taken = [execution for execution in found.executions.values() if execution.context_id == context_id]
    for execution in taken:
        del found.executions[execution.id]
    return taken


async def _clear(sandbox: Sandbox, enclosure: Enclosure) -> None:
    """End what nobody has claimed: terminals, and kernels that waited for somebody."""
    for label in enclosure.disown():
        if label.startswith(MARKS):
            await to_thread.run_sync(kill_marked, label)
    kernels = [context.kernel for context in (*sandbox.contexts.list(), *sandbox.sessions.list())]
    traces = [kernel.trace for kernel in kernels if kernel is not None]
    used = {trace.folder for trace in traces if isinstance(trace, KernelTrace)}
    for folder in await to_thread.run_sync(lambda: list(sandbox.place.runtime.host.glob("k????????"))):
        if folder.name not in used:
            await to_thread.run_sync(wipe, folder)
