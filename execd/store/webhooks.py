"""Webhooks as rows, and the secrets that what is sent is signed with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from execd.store.tables import deliveries, signing_secrets, webhooks

_MOST_SECRETS = 3


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """Where a tenant wants to be told. `events` are the types that it wants, none of them being all; times are Unix ms.
    One that is disabled is told nothing."""

    id: str
    tenant: str
    url: str
    created_at: int
    events: Sequence[str] = field(default_factory=tuple)
    description: str = ""
    disabled_at: int | None = None
    disabled_why: str | None = None


def add(connection: Connection, row: WebhookRow) -> None:
    """Insert a new one."""
    connection.execute(insert(webhooks), asdict(row) | {"events": list(row.events)})


def get(connection: Connection, webhook_id: str, tenant: str | None = None) -> WebhookRow | None:
    """The one with this id, if it is this tenant's, or anybody's."""
    query = select(webhooks).where(webhooks.c.id == webhook_id)
    found = _rows(connection, query if tenant is None else query.where(webhooks.c.tenant == tenant))
    return found[0] if found else None


def of_tenant(connection: Connection, tenant: str) -> list[WebhookRow]:
    """A tenant's, from the oldest on."""
    return _rows(connection, _ORDERED.where(webhooks.c.tenant == tenant))


def enabled(connection: Connection, tenant: str) -> list[WebhookRow]:
    """Those of a tenant that are told something."""
    return [WebhookRow(**found) for found in connection.execute(_ENABLED, {"wanted": tenant}).mappings()]


def everybodys(connection: Connection) -> list[WebhookRow]:
    """All there are, from the oldest on."""
    return _rows(connection, _ORDERED)


def count(connection: Connection, tenant: str) -> int:
    """How many a tenant has."""
    query = select(func.count()).select_from(webhooks).where(webhooks.c.tenant == tenant)
    return int(connection.execute(query).scalar_one())


def remove(connection: Connection, webhook_id: str) -> bool:
    """Remove one, with its secrets and what is to be sent to it; whether there was one."""
    connection.execute(delete(signing_secrets).where(signing_secrets.c.owner == webhook_id))
    connection.execute(delete(deliveries).where(deliveries.c.webhook_id == webhook_id))
    return connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id)).rowcount > 0


def disable(connection: Connection, webhook_id: str, why: str, now: int) -> None:
    """Tell one nothing more."""
    wanted = update(webhooks).where(webhooks.c.id == webhook_id, webhooks.c.disabled_at.is_(None))
    connection.execute(wanted.values(disabled_at=now, disabled_why=why))


def secrets_of(connection: Connection, owner: str, now: int) -> list[str]:
    """What is signed with for an owner at this time, the newest first."""
    columns = signing_secrets.c
    good = columns.expires_at.is_(None) | (columns.expires_at > now)
    query = select(columns.secret).where(columns.owner == owner, good).order_by(columns.number.desc())
    return list(connection.execute(query).scalars())


def add_secret(connection: Connection, owner: str, secret: str, now: int) -> None:
    """Sign with this one too, from now on."""
    connection.execute(insert(signing_secrets).values(owner=owner, secret=secret, created_at=now))


def rotate_secret(connection: Connection, owner: str, secret: str, now: int, until: int) -> None:
    """Sign with this one from now on, and with the newest of those before it until then."""
    columns = signing_secrets.c
    mine = columns.owner == owner
    connection.execute(delete(signing_secrets).where(mine, columns.expires_at <= now))
    connection.execute(update(signing_secrets).where(mine, columns.expires_at.is_(None)).values(expires_at=until))
    add_secret(connection, owner, secret, now)
    numbers = select(columns.number).where(mine).order_by(columns.number.desc())
    for number in connection.execute(numbers).scalars().all()[_MOST_SECRETS:]:
        connection.execute(delete(signing_secrets).where(columns.number == number))


def _rows(connection: Connection, query: Select[Any]) -> list[WebhookRow]:
    return [WebhookRow(**found) for found in connection.execute(query).mappings()]


_ORDERED = select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)
# Asked at every end of an execution.
_ENABLED = _ORDERED.where(webhooks.c.tenant == bindparam("wanted"), webhooks.c.disabled_at.is_(None))
