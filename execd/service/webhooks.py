"""Webhooks: where tenants want to be told, what is signed with, and what has been delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import anyio
from sqlalchemy import Connection

from execd.errors import InvalidRequest, TooManyWebhooks, WebhookNotFound
from execd.identifiers import new_id
from execd.service.announcement import EVENT_TYPES
from execd.service.deliveries import AT_ONCE, Deliveries, signing_secrets
from execd.service.journal import now_ms
from execd.service.rendering import message
from execd.service.sandboxes import Sandboxes
from execd.service.webhook_sender import Outcome, Sender
from execd.service.webhook_signature import headers, new_secret
from execd.service.webhook_url import UrlRules
from execd.settings import Settings
from execd.store import deliveries, webhooks
from execd.store.deliveries import DeliveryRow, WantedDeliveries
from execd.store.pages import cut
from execd.store.store import Store
from execd.store.webhooks import WebhookRow

OLD_SECRET_MS = 86400 * 1000
"""For how long what is sent is signed with the old secret as well, once there is a new one."""
TEST_TYPE = "webhook.test"


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A webhook that is wanted. `events` are types, none of them being all."""

    url: str
    events: Sequence[str] = ()
    description: str = ""


@asynccontextmanager
async def open_webhooks(sandboxes: Sandboxes) -> AsyncIterator[Webhooks]:
    """Webhooks, while the block runs; what is due is delivered meanwhile. Raises CannotServe for rules that cannot be
    understood."""
    settings, executions = sandboxes.settings, sandboxes.executions
    rules = UrlRules.of(settings)
    async with (
        Sender.opened(rules, settings.webhook_timeout, AT_ONCE) as sender,
        anyio.create_task_group() as tasks,
    ):
        work = Deliveries(settings, executions, sandboxes.meters, sender.post)
        executions.when_announced(work.look)
        tasks.start_soon(work.run)
        yield Webhooks(executions.store, settings, rules, sender)
        tasks.cancel_scope.cancel()


class Webhooks:
    """The webhooks of all tenants. Those of others do not exist: WebhookNotFound."""

    def __init__(self, store: Store, settings: Settings, rules: UrlRules, sender: Sender) -> None:
        self._store = store
        self._settings = settings
        self._rules = rules
        self._sender = sender

    def usable(self, url: str | None) -> str | None:
        """The URL that an execution names to be told its end at. Raises InvalidRequest."""
        return None if url is None else self._rules.check(url, "webhook_url")

    async def create(self, tenant: str, wanted: WebhookRequest) -> tuple[WebhookRow, str]:
        """A new webhook, and the secret that it can tell the service by. Raises InvalidRequest, TooManyWebhooks,
        StorageFull."""
        check_events(wanted.events)
        self._rules.check(wanted.url, "url")
        return await self._store.write(partial(add_webhook, tenant, wanted, self._settings.max_webhooks))

    async def all(self, tenant: str) -> list[WebhookRow]:
        """A tenant's, from the oldest on. Raises StorageFull."""
        return await self._store.read(partial(webhooks.of_tenant, tenant=tenant))

    async def get(self, tenant: str, webhook_id: str) -> WebhookRow:
        """The one with this id. Raises WebhookNotFound, StorageFull."""
        return await self._store.read(partial(webhook_with, webhook_id, tenant))

    async def remove(self, tenant: str, webhook_id: str) -> None:
        """Remove one, with what is still to be sent to it. Raises WebhookNotFound, StorageFull."""

        def work(connection: Connection) -> None:
            webhooks.remove(connection, webhook_with(webhook_id, tenant, connection).id)

        await self._store.write(work)

    async def rotate(self, tenant: str, webhook_id: str) -> str:
        """A new secret for one. What is sent is signed with the old one as well for a day. Raises WebhookNotFound,
        StorageFull."""

        def work(connection: Connection) -> str:
            return new_secret_of(webhook_with(webhook_id, tenant, connection).id, connection)

        return await self._store.write(work)

    async def signing_secret(self, tenant: str) -> str:
        """What is signed with for URLs that a tenant's executions name. Raises StorageFull."""
        return (await self._store.write(partial(signing_secrets, tenant=tenant)))[0]

    async def rotate_signing_secret(self, tenant: str) -> str:
        """Another one of those, as `rotate` has it. Raises StorageFull."""
        return await self._store.write(partial(new_secret_of, tenant))

    async def test(self, tenant: str, webhook_id: str) -> Outcome:
        """Send one something now, whether it is disabled or not, and say what came of it. Raises WebhookNotFound,
        StorageFull."""
        row, secrets = await self._store.read(partial(webhook_and_secrets, webhook_id, tenant))
        return await send_test(self._sender, row, secrets)

    async def delivered(
        self, wanted: WantedDeliveries, limit: int, before: int | None
    ) -> tuple[list[DeliveryRow], int | None]:
        """At most `limit` of what was sent or is to be, the newest first, from `before` a number on; and the number
        before which there is more. Raises StorageFull."""
        find = partial(deliveries.page, wanted=wanted, limit=limit + 1, before=before)
        return cut(await self._store.read(find), limit)


def check_events(events: Sequence[str]) -> None:
    """Raise InvalidRequest for what no webhook can be told of."""
    for given in events:
        if given not in EVENT_TYPES:
            raise InvalidRequest(f"expected any of {', '.join(EVENT_TYPES)}, got {given[:60]!r}", "events")


def add_webhook(tenant: str, wanted: WebhookRequest, most: int, connection: Connection) -> tuple[WebhookRow, str]:
    """Make one, whose request was checked; the secret is only given now. Raises TooManyWebhooks."""
    if webhooks.count(connection, tenant) >= most:
        raise TooManyWebhooks(most)
    now, secret = now_ms(), new_secret()
    events = tuple(dict.fromkeys(wanted.events))
    row = WebhookRow(new_id("wh"), tenant, wanted.url, now, events, wanted.description)
    webhooks.add(connection, row)
    webhooks.add_secret(connection, row.id, secret, now)
    return row, secret


def webhook_with(webhook_id: str, tenant: str | None, connection: Connection) -> WebhookRow:
    """The one with this id, if it is this tenant's, or anybody's. Raises WebhookNotFound."""
    found = webhooks.get(connection, webhook_id, tenant)
    if found is None:
        raise WebhookNotFound(webhook_id)
    return found


def webhook_and_secrets(webhook_id: str, tenant: str | None, connection: Connection) -> tuple[WebhookRow, list[str]]:
    """The same, and what is signed with for it."""
    row = webhook_with(webhook_id, tenant, connection)
    return row, webhooks.secrets_of(connection, row.id, now_ms())


def new_secret_of(owner: str, connection: Connection) -> str:
    """Another secret of a webhook, or of a tenant."""
    now, secret = now_ms(), new_secret()
    webhooks.rotate_secret(connection, owner, secret, now, now + OLD_SECRET_MS)
    return secret


async def send_test(sender: Sender, row: WebhookRow, secrets: Sequence[str]) -> Outcome:
    """Send a webhook something that is about nothing."""
    now = now_ms()
    body = message(TEST_TYPE, now, {"webhook_id": row.id, "url": row.url}, 1 << 20)
    return await sender.post(row.url, headers(secrets, new_id("msg"), now // 1000, body), body)
