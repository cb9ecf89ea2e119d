"""All sandboxes of a service: made, found, listed, changed, ended, and by whom their time is kept.

create ──▶ creating ──▶ running ◀──▶ paused ──▶ ended (its record is remembered for a while)
                           └── its time is over: deleted, or paused if that was asked for

What can happen to a sandbox is here; what is known of it is in its record (execd.service.records).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import structlog
from anyio import to_thread

from execd.errors import (
    ExecdError,
    FreezeUnavailable,
    SandboxFailed,
    SandboxNotFound,
    SandboxNotReady,
    ShuttingDown,
    StorageFull,
    TooManySandboxes,
)
from execd.identifiers import new_id
from execd.service.agency import Agency
from execd.service.agent_run import Means
from execd.service.approvals import Approvals
from execd.service.caller import default_sandbox, is_default, may_see, tenant
from execd.service.capabilities import Capabilities
from execd.service.context import SANDBOX_DELETED, SANDBOX_EXPIRED, SANDBOX_LOST, SERVICE_ENDED
from execd.service.copying import copy_tree
from execd.service.descriptors import check_descriptors
from execd.service.executions import SandboxExecutions
from execd.service.expiry import bounded, expires_at
from execd.service.journal import now_ms
from execd.service.keeping import SandboxTrace
from execd.service.keyring import Keyring
from execd.service.network import check_change, choose_network
from execd.service.place import Place, Places
from execd.service.quotas import check_count
from execd.service.readiness import lacking
from execd.service.record import EndReason, Network, SandboxRecord, SandboxRequest, SandboxStatus, TimeoutAction
from execd.service.records import Records
from execd.service.run import Ending
from execd.service.sandbox import Common, Sandbox
from execd.waiting import first_of
from execd.warden.client import Enclosure

log = structlog.get_logger(__name__)

Change = Callable[[SandboxRecord], SandboxRecord]


class Sandboxes:
    """Every sandbox by id. `default` is made on its first use, never expires, and stands in no list."""

    def __init__(self, common: Common, keyring: Keyring, places: Places) -> None:
        self.settings = common.settings
        self.meters = common.meters
        self.artifacts = common.artifacts
        self.links = common.links
        self.keyring = keyring
        self.executions = common.executions
        means = Means(common.settings, common.executions, self, Approvals(common.executions.store))
        self.agency = Agency.found(common.kernelspecs, means, common.tasks)
        self._common = common
        self._places = places
        self._living: dict[str, Sandbox] = {}
        self._records = Records(common.registry, self._living)
        self._making_default = anyio.Lock()
        self._turns: dict[str, anyio.Lock] = {}
        self._open = True
        self.keeping = False
        """Whether what runs is left to a later service when this one ends."""

    @property
    def capabilities(self) -> Capabilities:
        """What the places are in which sandboxes are made."""
        return self._places.capabilities

    async def readiness(self) -> dict[str, str]:
        """What each part of the service lacks to take work on now; nothing where that is nothing."""
        return {
            "service": "" if self._open else "it is shutting down",
            "store": await lacking(self._common.executions.check),
            "warden": await lacking(self._places.check),
        }

    @property
    def languages(self) -> list[str]:
        """The languages that contexts can be in."""
        return self._common.kernelspecs.languages

    def records(self) -> list[SandboxRecord]:
        """Those that exist, but for `default`, from the oldest to the newest."""
        return [record for record in self._records.all() if may_see(record.tenant)]

    def get(self, sandbox_id: str) -> SandboxRecord:
        """What is known about a sandbox. Raises SandboxNotFound; SandboxExpired when its time is over."""
        return self._records.get(sandbox_id)

    def active_at(self, sandbox_id: str) -> int:
        """When a sandbox was used last, in Unix ms. Raises SandboxNotFound."""
        record = self.get(sandbox_id)
        sandbox = self._living.get(sandbox_id)
        return record.created_at if sandbox is None else sandbox.active_at

    def executions_of(self, sandbox_id: str) -> SandboxExecutions:
        """The executions of a sandbox, for who asks: their records are there for as long as the retention keeps them,
        whatever has become of it."""
        return self._common.executions.of(sandbox_id, tenant())

    async def enter(self, sandbox_id: str) -> Sandbox:
        """The running sandbox with this id, used from now on. Raises SandboxNotFound, SandboxNotReady; ShuttingDown
        and SandboxFailed for `default`, which is made when there is none."""
        if sandbox_id == default_sandbox() and sandbox_id not in self._living:
            await self._make_default(sandbox_id)
        record = self.get(sandbox_id)
        if record.status is not SandboxStatus.RUNNING:
            raise SandboxNotReady(sandbox_id, record.status)
        sandbox = self._living[sandbox_id]
        sandbox.touch()
        return sandbox

    async def create(self, wanted: SandboxRequest, key: str = "", sandbox_id: str | None = None) -> SandboxRecord:
        """A new, running sandbox; one that was made with the same key is returned again, if it still is. It gets the id
        that is given, which no other must have. Raises InvalidRequest, NotOffered, TooManySandboxes, SandboxFailed,
        ShuttingDown."""
        known = self._records.made_with(key)
        if known is not None:
            return known
        record = self._new_record(wanted)
        return await self._create(record if sandbox_id is None else replace(record, id=sandbox_id), key)

    async def fork(self, sandbox_id: str, change: Change = lambda record: record, key: str = "") -> SandboxRecord:
        """A new sandbox with a copy of this one's workspace, made for what it was made for but for what `change` makes
        of that. What runs is not copied. Raises what `get` and `create` do."""
        origin = self.get(sandbox_id)
        known = self._records.made_with(key)
        if known is not None:
            return known
        if sandbox_id not in self._living:
            raise SandboxNotReady(sandbox_id, origin.status)
        wanted = replace(origin.wanted, metadata=origin.metadata, network=origin.network)
        record = change(replace(self._new_record(wanted), origin=sandbox_id))
        return await self._create(record, key, self._living[sandbox_id].place)

    def renew(self, sandbox_id: str, until: int | None) -> SandboxRecord:
        """Let a sandbox live until then (Unix ms), or as long as the settings allow. Raises SandboxNotFound."""
        now = now_ms()
        asked = 0 if until is None else max(until - now, 1) / 1000
        return self._give_time(sandbox_id, asked, now)

    def set_timeout(self, sandbox_id: str, timeout: float | None, action: TimeoutAction | None) -> SandboxRecord:
        """Let a sandbox live this long from now on (None: for ever), or as long as the settings allow. Raises
        SandboxNotFound, and FreezeUnavailable for a pause that could not be done."""
        self.get(sandbox_id)
        if action is TimeoutAction.PAUSE and not self.capabilities.freeze:
            raise FreezeUnavailable
        record = self._give_time(sandbox_id, timeout or 0, now_ms())
        return record if action is None else self._records.change(sandbox_id, timeout_action=action)

    def set_network(self, sandbox_id: str, network: Network) -> SandboxRecord:
        """Change what a sandbox may reach. Raises SandboxNotFound, SandboxNotReady, NotOffered."""
        record = self.get(sandbox_id)
        check_change(network, record.reach, self.capabilities.networks)
        if sandbox_id not in self._living:
            raise SandboxNotReady(sandbox_id, record.status)
        self._living[sandbox_id].place.narrow(network.rules)
        return self._records.change(sandbox_id, network=network)

    def set_metadata(self, sandbox_id: str, changes: Mapping[str, Any]) -> SandboxRecord:
        """Change metadata; what is None is removed. Raises SandboxNotFound."""
        merged = {**self.get(sandbox_id).metadata, **changes}
        return self._records.change(
            sandbox_id, metadata={name: value for name, value in merged.items() if value is not None}
        )

    async def pause(self, sandbox_id: str) -> SandboxRecord:
        """Stop every process of a sandbox; nothing for one that is paused. Raises SandboxNotFound, FreezeUnavailable,
        SandboxNotReady, SandboxFailed."""
        return await self._turn(sandbox_id, SandboxStatus.PAUSED, SandboxStatus.RUNNING)

    async def resume(self, sandbox_id: str) -> SandboxRecord:
        """Let the processes of a paused sandbox go on; nothing for one that runs. Raises the same."""
        return await self._turn(sandbox_id, SandboxStatus.RUNNING, SandboxStatus.PAUSED)

    async def delete(self, sandbox_id: str) -> SandboxRecord:
        """End a sandbox with everything in it; returns when it is gone. Raises SandboxNotFound, and SandboxNotReady
        while it is being made."""
        if self.get(sandbox_id).status is SandboxStatus.CREATING:
            raise SandboxNotReady(sandbox_id, SandboxStatus.CREATING)
        return await self._end(sandbox_id, EndReason.DELETED)

    async def close(self) -> None:
        """End what runs in all sandboxes, and make no new ones. Their places stay until `remove`. Safe to call
        twice."""
        self._open = False
        async with anyio.create_task_group() as group:
            for sandbox in self._living.values():
                group.start_soon(sandbox.close)

    async def leave(self) -> None:
        """Leave everything to a later service, and do nothing more. Safe to call twice."""
        self._open = False
        async with anyio.create_task_group() as group:
            for sandbox in self._living.values():
                self._records.note(sandbox.id)
                group.start_soon(sandbox.leave_alone)
        self._common.executions.leave()

    async def adopt(self, record: SandboxRecord, trace: SandboxTrace, enclosure: Enclosure) -> Sandbox:
        """A sandbox that an earlier service has left. Raises NotOffered, WorkingFolderUnusable, OSError; then its place
        is closed."""
        place = await self._places.adopt(record, enclosure)
        try:
            sandbox = self._admitting(Sandbox.furnish(record, place, self._common, trace.mark))
        except BaseException:
            await place.close()
            raise
        sandbox.was_used_at(trace.active_at)
        self._living[record.id] = sandbox
        self._records.restore(record, trace.key)
        self._common.tasks.start_soon(self._watch, sandbox)
        return sandbox

    def lose(self, record: SandboxRecord) -> None:
        """A sandbox of an earlier service's is not there any more."""
        self._records.lose(record)

    def remember(self, record: SandboxRecord) -> None:
        """This one had ended before."""
        self._records.remember(record)

    async def remove(self) -> None:
        """End all sandboxes, with their places."""
        await self.close()
        async with anyio.create_task_group() as group:
            for sandbox_id in list(self._living):
                group.start_soon(self._end, sandbox_id, EndReason.SERVICE_ENDED)

    def living(self) -> list[Sandbox]:
        """Those that run or are paused."""
        return list(self._living.values())

    async def until_changed(self) -> None:
        """Return when any record has changed."""
        await self._records.until_changed()

    async def time_is_over(self, sandbox_id: str, reason: EndReason) -> None:
        """Pause or end a sandbox, as was asked for; nothing for one that is no more."""
        try:
            record = self.get(sandbox_id)
            # Not due again while this is being done.
            self._records.change(sandbox_id, expires_at=None, idle_timeout=None)
            if record.timeout_action is TimeoutAction.PAUSE and record.status is SandboxStatus.RUNNING:
                await self.pause(sandbox_id)
                return
        except SandboxNotFound:
            return
        except ExecdError as error:
            log.warning("sandbox_not_paused", sandbox_id=sandbox_id, why=str(error))
        if sandbox_id in self._living:
            await self._end(sandbox_id, reason)

    def count_waiting(self) -> int:
        """How many executions wait for their turn."""
        return sum(sandbox.count_waiting() for sandbox in self._living.values())

    def count_kernels(self) -> int:
        """How many interpreters live."""
        return sum(sandbox.count_kernels() for sandbox in self._living.values())

    def count_commands(self) -> int:
        """How many commands run."""
        return sum(sandbox.commands.count_running() for sandbox in self._living.values())

    def _new_record(self, wanted: SandboxRequest) -> SandboxRecord:
        settings = self.settings
        now = now_ms()
        timeout = bounded(wanted.timeout, settings.sandbox_timeout, settings.sandbox_timeout_max)
        return SandboxRecord(
            id=new_id("sb"),
            wanted=wanted,
            status=SandboxStatus.CREATING,
            created_at=now,
            timeout=timeout,
            timeout_action=wanted.timeout_action,
            idle_timeout=bounded(wanted.idle_timeout, settings.sandbox_idle_timeout, 0),
            metadata=wanted.metadata,
            network=wanted.network,
            expires_at=expires_at(timeout, now),
            tenant=tenant(),
        )

    async def _make_default(self, sandbox_id: str) -> None:
        async with self._making_default:
            if sandbox_id in self._living:
                return
            record = self._new_record(SandboxRequest())
            await self._create(replace(record, id=sandbox_id, timeout=None, expires_at=None, idle_timeout=None))

    async def _create(self, record: SandboxRecord, key: str = "", origin: Place | None = None) -> SandboxRecord:
        self._check_room(record)
        reach = choose_network(record.network, self.capabilities.networks, self.capabilities.network)
        record = replace(record, reach=reach)
        self._records.add(record, key)
        with anyio.CancelScope(shield=True):
            try:
                self._living[record.id] = await self._furnished(record, origin)
            except BaseException as error:
                self._records.drop(record.id)
                if isinstance(error, OSError):
                    raise SandboxFailed(record.id, "made", error.strerror or str(error)) from error
                raise
        self._common.tasks.start_soon(self._watch, self._living[record.id])
        log.info("sandbox_created", sandbox_id=record.id, image=record.wanted.image)
        made = self._records.change(record.id, status=SandboxStatus.RUNNING, started_at=now_ms())
        try:
            await self._common.registry.flush()
        except StorageFull:
            if self._records.exists(record.id):
                await self._end(record.id, EndReason.DELETED)
            raise
        return made

    def _check_room(self, record: SandboxRecord) -> None:
        if not self._open:
            raise ShuttingDown
        check_descriptors()
        if not is_default(record.id):
            if len(self._records.all()) >= self.settings.max_sandboxes:
                raise TooManySandboxes(self.settings.max_sandboxes)
            check_count("sandboxes", lambda mine: sum(found.tenant == mine for found in self._records.all()))
        if record.timeout_action is TimeoutAction.PAUSE and not self.capabilities.freeze:
            raise FreezeUnavailable

    def _admit_context(self) -> None:
        check_descriptors()
        check_count("contexts", self._count_contexts)

    def _admitting(self, sandbox: Sandbox) -> Sandbox:
        sandbox.contexts.admit = sandbox.sessions.admit = self._admit_context
        return sandbox

    def _count_contexts(self, owner: str) -> int:
        mine = [sandbox for sandbox in self._living.values() if self._records.owner_of(sandbox.id) == owner]
        return sum(len(sandbox.contexts.list()) + len(sandbox.sessions.list()) for sandbox in mine)

    async def _furnished(self, record: SandboxRecord, origin: Place | None) -> Sandbox:
        place = await self._places.open(record)
        try:
            if origin is not None:
                copy = partial(
                    copy_tree, origin.workspace_folder, place.workspace_folder, place.owner, place.root.acting
                )
                self._records.change(record.id, copied=str(await to_thread.run_sync(copy)))
            return self._admitting(Sandbox.furnish(record, place, self._common))
        except BaseException:
            await place.close()
            raise

    async def _turn(self, sandbox_id: str, after: SandboxStatus, before: SandboxStatus) -> SandboxRecord:
        async with self._turns.setdefault(sandbox_id, anyio.Lock()):
            record = self.get(sandbox_id)
            if not self.capabilities.freeze:
                raise FreezeUnavailable
            if record.status is after:
                return record
            if record.status is not before:
                raise SandboxNotReady(sandbox_id, record.status)
            place = self._living[sandbox_id].place
            pausing = after is SandboxStatus.PAUSED
            try:
                await (place.freeze() if pausing else place.thaw())
            except OSError as error:
                what = "paused" if pausing else "resumed"
                raise SandboxFailed(sandbox_id, what, error.strerror or str(error)) from error
            self._living[sandbox_id].touch()
            turned = self._records.change(sandbox_id, status=after, paused_at=now_ms() if pausing else None)
            with contextlib.suppress(StorageFull):  # it is done
                await self._common.registry.flush()
            return turned

    async def _watch(self, sandbox: Sandbox) -> None:
        structlog.contextvars.clear_contextvars()
        await first_of(sandbox.place.lost, sandbox.gone)
        if not sandbox.gone.is_set():
            log.warning("sandbox_lost", sandbox_id=sandbox.id)
            await self._end(sandbox.id, EndReason.LOST)

    async def _end(self, sandbox_id: str, reason: EndReason) -> SandboxRecord:
        sandbox = self._living.pop(sandbox_id, None)
        record = self._records.end(sandbox_id, reason, sandbox)
        self._turns.pop(sandbox_id, None)
        if sandbox is not None:
            sandbox.gone.set()
            # The next one named default has the same folders.
            turn = self._making_default if is_default(sandbox_id) else contextlib.nullcontext()
            with anyio.CancelScope(shield=True):
                async with turn:
                    await _close(sandbox, _ENDINGS[reason], thaw=record.paused_at is not None)
            self._common.executions.forget(sandbox_id)
        log.info("sandbox_ended", sandbox_id=sandbox_id, why=reason.value)
        return record

    def _give_time(self, sandbox_id: str, asked: float, now: int) -> SandboxRecord:
        self.get(sandbox_id)
        timeout = bounded(asked, 0, self.settings.sandbox_timeout_max)
        return self._records.change(sandbox_id, timeout=timeout, expires_at=expires_at(timeout, now))


_ENDINGS = {
    EndReason.DELETED: SANDBOX_DELETED,
    EndReason.TOO_OLD: SANDBOX_EXPIRED,
    EndReason.IDLE: SANDBOX_EXPIRED,
    EndReason.LOST: SANDBOX_LOST,
    EndReason.SERVICE_ENDED: SERVICE_ENDED,
}


async def _close(sandbox: Sandbox, ending: Ending, *, thaw: bool) -> None:
    """End a sandbox with its place. What cannot be removed is complained of, and hurts no other sandbox."""
    if thaw:
        # What is frozen cannot come to an end.
        with contextlib.suppress(OSError, ExecdError):
            await sandbox.place.thaw()
    await sandbox.close(ending)
    try:
        await sandbox.leave()
    except (OSError, ExecdError):
        log.exception("sandbox_not_removed", sandbox_id=sandbox.id)
