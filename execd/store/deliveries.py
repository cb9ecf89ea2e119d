"""Deliveries as rows: what webhooks are to be told, attempt by attempt, until they have been or it is given up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from execd.store.tables import deliveries

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One message to one URL: a webhook's, or without `webhook_id` the one that an execution has named. Its id is the
    same in all attempts. `host` is what has its share of all attempts; `body` is None where the execution, which has
    ended, says it; times are Unix ms, and `due_at` is None once no attempt follows."""

    id: str
    node: str
    tenant: str
    execution_id: str
    url: str
    host: str
    type: str
    created_at: int
    webhook_id: str | None = None
    body: Mapping[str, Any] | None = None
    state: str = PENDING
    attempts: int = 0
    due_at: int | None = None
    last_status: int | None = None
    last_error: str | None = None
    ended_at: int | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Busy:
    """What is not to be begun now: attempts that are under way, and hosts and tenants that have their share."""

    ids: Collection[str] = ()
    hosts: Collection[str] = ()
    tenants: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt has come to: the state that follows, when it is tried again, and why it was not taken."""

    state: str
    at: int
    due_at: int | None = None
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WantedDeliveries:
    """Which deliveries of a tenant; what is None does not matter."""

    tenant: str
    webhook_id: str | None = None
    execution_id: str | None = None
    state: str | None = None


def add(connection: Connection, rows: Sequence[DeliveryRow]) -> None:
    """Insert new ones."""
    values = [asdict(row) for row in rows]
    for value in values:
        del value["number"]
    if values:
        connection.execute(insert(deliveries), values)


def due(connection: Connection, node: str, now: int, busy: Busy, limit: int) -> list[DeliveryRow]:
    """At most `limit` of a node that are to be tried by now, what has waited longest first."""
    query = _waiting(select(deliveries), node, busy).where(deliveries.c.due_at <= now)
    return _rows(connection, query.order_by(deliveries.c.due_at, deliveries.c.number).limit(limit))


def next_due(connection: Connection, node: str, busy: Busy) -> int | None:
    """When the next one of a node is to be tried, Unix ms; None where none is."""
    found = connection.execute(_waiting(select(func.min(deliveries.c.due_at)), node, busy)).scalar_one()
    return None if found is None else int(found)


def settle(connection: Connection, delivery_id: str, result: Result) -> bool:
    """Note what an attempt has come to; False where the delivery is gone, or was ended meanwhile."""
    pending = deliveries.c.id == delivery_id, deliveries.c.state == PENDING
    values = {
        "state": result.state,
        "attempts": deliveries.c.attempts + 1,
        "due_at": result.due_at,
        "last_status": result.status,
        "last_error": result.error,
        "ended_at": None if result.state == PENDING else result.at,
    }
    return connection.execute(update(deliveries).where(*pending).values(**values)).rowcount > 0


def give_up(connection: Connection, webhook_id: str, why: str, now: int) -> None:
    """Let whatever is still to be sent to a webhook have failed."""
    pending = deliveries.c.webhook_id == webhook_id, deliveries.c.state == PENDING
    values = {"state": FAILED, "due_at": None, "last_error": why, "ended_at": now}
    connection.execute(update(deliveries).where(*pending).values(**values))


def page(connection: Connection, wanted: WantedDeliveries, limit: int, before: int | None = None) -> list[DeliveryRow]:
    """At most `limit` of them, the newest first, from `before` a number on."""
    query = select(deliveries)
    for name in ("tenant", "webhook_id", "execution_id", "state"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(deliveries.c[name] == value)
    if before is not None:
        query = query.where(deliveries.c.number < before)
    return _rows(connection, query.order_by(deliveries.c.number.desc()).limit(limit))


def prune(connection: Connection, before: int) -> int:
    """Remove those that ended before this time, Unix ms; how many that were."""
    return connection.execute(delete(deliveries).where(deliveries.c.ended_at < before)).rowcount


def _waiting(query: Select[Any], node: str, busy: Busy) -> Select[Any]:
    columns = deliveries.c
    query = query.where(columns.node == node, columns.state == PENDING)
    for column, taken in ((columns.id, busy.ids), (columns.host, busy.hosts), (columns.tenant, busy.tenants)):
        if taken:
            query = query.where(column.not_in(sorted(taken)))
    return query


def _rows(connection: Connection, query: Select[Any]) -> list[DeliveryRow]:
    return [DeliveryRow(**{name: found[name] for name in _FIELDS}) for found in connection.execute(query).mappings()]


_FIELDS = tuple(column.name for column in fields(DeliveryRow))
