"""The delivery of what webhooks are told: found in the store when it is due, tried, tried again, or given up.

    due ──▶ attempt ──▶ delivered
     ▲         ├──────▶ failed: it was gone (410), or the time for it is over
     └─ pause ─┘

The store knows all of it, so a service that starts goes on where the one before it was; an attempt that was under way
then is made again, under the same id. Nobody waits for another's receiver: each host and each tenant has its share of
the attempts that are under way at once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import anyio
import anyio.abc
import structlog
from anyio import to_thread
from sqlalchemy import Connection

from execd.errors import ExecutionNotFound, StorageFull
from execd.service.announcement import AWAITING
from execd.service.backoff import Backoff
from execd.service.caller import Caller, calling
from execd.service.executions import Executions
from execd.service.journal import now_ms
from execd.service.meters import Meters
from execd.service.rendering import Record, message
from execd.service.webhook_sender import GONE, Outcome
from execd.service.webhook_signature import headers, new_secret
from execd.settings import Settings
from execd.store import deliveries as rows
from execd.store import executions as execution_rows
from execd.store import webhooks
from execd.store.deliveries import DELIVERED, FAILED, PENDING, Busy, DeliveryRow, Result

log = structlog.get_logger(__name__)

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[Outcome]]
"""Sends a body with headers to a URL, and says what came of it."""

AT_ONCE = 64
"""How many attempts may be under way."""

OF_A_TENANT = 32
TO_A_HOST = 4
_LOOK_SECONDS = 60.0
_TROUBLE_SECONDS = 1.0
_PRUNE_SECONDS = 3600.0
_KEPT_MS = 7 * 86400 * 1000
_LARGE = 256 * 1024

NO_RECORD = "the record of the execution is not kept any more"
NO_WEBHOOK = "the webhook was removed or disabled"


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent in one attempt, and the secrets that it is signed with."""

    url: str
    body: bytes
    secrets: tuple[str, ...]


class Deliveries:
    """The deliveries of a node. `run` sees to them, as a task of its own."""

    def __init__(self, settings: Settings, executions: Executions, meters: Meters, post: Post) -> None:
        self._settings = settings
        self._executions = executions
        self._store = executions.store
        self._meters = meters
        self._post = post
        self._backoff = Backoff(settings.webhook_retry, settings.webhook_give_up)
        self._under_way: dict[str, DeliveryRow] = {}
        self._news = anyio.Event()
        self._large = anyio.Lock()

    def look(self) -> None:
        """There may be something to deliver."""
        self._news.set()

    async def run(self) -> None:
        """Deliver what is due, until cancelled."""
        structlog.contextvars.clear_contextvars()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._prune)
            while True:
                self._news = anyio.Event()
                try:
                    pause = await self._begin(tasks)
                except StorageFull as error:
                    log.warning("webhooks_not_looked_for", why=str(error))
                    pause = _TROUBLE_SECONDS
                with anyio.move_on_after(pause):
                    await self._news.wait()

    async def _begin(self, tasks: anyio.abc.TaskGroup) -> float:
        """Begin what may be begun; returns the seconds until there may be more."""
        while True:
            now, busy, room = now_ms(), self._busy(), AT_ONCE - len(self._under_way)
            if room <= 0:
                return _LOOK_SECONDS
            found = await self._store.read(partial(rows.due, node=self._store.node, now=now, busy=busy, limit=room))
            begun = [row for row in found if self._take(row)]
            for row in begun:
                tasks.start_soon(self._carry_out, row)
            if not begun:
                next_at = await self._store.read(partial(rows.next_due, node=self._store.node, busy=self._busy()))
                return _LOOK_SECONDS if next_at is None else min(max(next_at - now, 1) / 1000, _LOOK_SECONDS)

    def _busy(self) -> Busy:
        hosts = Counter(row.host for row in self._under_way.values())
        tenants = Counter(row.tenant for row in self._under_way.values())
        return Busy(
            list(self._under_way),
            [host for host, count in hosts.items() if count >= TO_A_HOST],
            [tenant for tenant, count in tenants.items() if count >= OF_A_TENANT],
        )

    def _take(self, row: DeliveryRow) -> bool:
        busy = self._busy()
        if row.host in busy.hosts or row.tenant in busy.tenants or row.id in self._under_way:
            return False
        self._under_way[row.id] = row
        return True

    async def _carry_out(self, row: DeliveryRow) -> None:
        # Nobody asks: what is shown is shown to its tenant.
        with calling(Caller(row.tenant)):
            try:
                outcome = await self._attempt(row)
                await self._settle(row, outcome)
            finally:
                del self._under_way[row.id]
                self.look()

    async def _attempt(self, row: DeliveryRow) -> Outcome:
        try:
            letter = await self._letter(row)
            if isinstance(letter, Outcome):
                return letter
            signed = headers(letter.secrets, row.id, now_ms() // 1000, letter.body)
            return await self._post(letter.url, signed, letter.body)
        except StorageFull as error:
            return Outcome(error=f"what is to be sent cannot be read: {error}")
        except Exception:
            # A defect of ours must not take the other deliveries along.
            log.exception("webhook_broke", delivery_id=row.id)
            return Outcome(error="execd failed to send this; see its log")

    async def _letter(self, row: DeliveryRow) -> Letter | Outcome:
        """What is to be sent; or what comes of it when that is nothing."""

        url, secrets = await self._store.read(partial(addressed, row))
        if url is None:
            return Outcome(error=NO_WEBHOOK, final=True)
        if not secrets and row.webhook_id is None:
            secrets = await self._store.write(partial(signing_secrets, tenant=row.tenant))
        try:
            return Letter(url, await self._body(row), tuple(secrets))
        except ExecutionNotFound:
            return Outcome(error=NO_RECORD, final=True)

    async def _body(self, row: DeliveryRow) -> bytes:
        if row.body is not None:
            return message(row.type, row.created_at, row.body, self._settings.webhook_size)
        execution = await self._executions.get(row.execution_id)
        ended = self._executions.renderings.of(execution).ended
        if execution.journal.size < _LARGE:
            return self._message(row, await ended(execution))
        async with self._large:
            record = await ended(execution)
            return await to_thread.run_sync(self._message, row, record)

    def _message(self, row: DeliveryRow, record: Record) -> bytes:
        return message(row.type, row.created_at, record, self._settings.webhook_size)

    async def _settle(self, row: DeliveryRow, outcome: Outcome) -> None:
        result = self._result(row, outcome)
        while True:
            try:
                await self._store.write(partial(settled, row, result))
                break
            except StorageFull as error:
                # It is not sent again meanwhile.
                log.warning("webhook_not_noted", delivery_id=row.id, why=str(error))
                await anyio.sleep(_TROUBLE_SECONDS)
        self._meters.webhook_attempted(result.state)
        tell = log.info if outcome.delivered else log.warning
        tell("webhook_attempted", delivery_id=row.id, host=row.host, state=result.state, why=outcome.error)

    def _result(self, row: DeliveryRow, outcome: Outcome) -> Result:
        now = now_ms()
        if outcome.delivered:
            return Result(DELIVERED, now, status=outcome.status)
        chance = random.random()
        next_at = None
        if not outcome.final:
            next_at = self._backoff.next_at(row.created_at, row.attempts + 1, now, chance, outcome.retry_after)
        return Result(FAILED if next_at is None else PENDING, now, next_at, outcome.status, outcome.error)

    async def _prune(self) -> None:
        while True:
            try:
                await self._store.write(partial(rows.prune, before=now_ms() - _KEPT_MS))
            except StorageFull as error:
                log.warning("deliveries_not_removed", why=str(error))
            await anyio.sleep(_PRUNE_SECONDS)


def addressed(row: DeliveryRow, connection: Connection) -> tuple[str | None, list[str]]:
    """Where a delivery goes now, None for nowhere any more, and the secrets that there are for it."""
    secrets = webhooks.secrets_of(connection, row.webhook_id or row.tenant, now_ms())
    if row.webhook_id is None:
        return row.url, secrets
    found = webhooks.get(connection, row.webhook_id)
    return (None if found is None or found.disabled_at is not None else found.url), secrets


def settled(row: DeliveryRow, result: Result, connection: Connection) -> None:
    """Note what an attempt has come to, where it shows: of the delivery, of the execution that has named its URL, and
    of a webhook that is gone."""
    if not rows.settle(connection, row.id, result):
        return
    if row.webhook_id is None:
        if row.type != AWAITING:
            execution_rows.change(connection, row.execution_id, {"webhook_delivery": result.state})
    elif result.status == GONE:
        why = "it answered 410: it wants nothing more"
        webhooks.disable(connection, row.webhook_id, why, result.at)
        rows.give_up(connection, row.webhook_id, why, result.at)


def signing_secrets(connection: Connection, tenant: str) -> list[str]:
    """What is signed with for URLs that a tenant's executions name, the newest first; made at its first use."""
    now = now_ms()
    if not webhooks.secrets_of(connection, tenant, now):
        webhooks.add_secret(connection, tenant, new_secret(), now)
    return webhooks.secrets_of(connection, tenant, now)
