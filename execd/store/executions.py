"""Executions as rows: written when they begin, change and end; read one by one and page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, delete, false, func, insert, select, update

from execd.store.tables import agent_runs, approvals, deliveries, executions, journal

TERMINAL = ("succeeded", "failed", "cancelled", "rejected")


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """One execution. `request` is what was asked for but for `envs`, which are only kept until it starts; `detail` is
    its dialect's own; `error` and `complete` are the events' payloads; `webhook_delivery` is what has become of telling
    its end to the `webhook_url`. `number` grows with every row."""

    id: str
    node: str
    tenant: str
    sandbox_id: str
    context_id: str | None
    language: str
    dialect: str
    status: str
    request: Mapping[str, Any]
    created_at: int
    reason: str | None = None
    envs: Mapping[str, str] | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None
    started_at: int | None = None
    cancel_requested_at: int | None = None
    finished_at: int | None = None
    execution_count: int | None = None
    duration_ms: int = 0
    error: Mapping[str, Any] | None = None
    complete: Mapping[str, Any] | None = None
    trace: Mapping[str, Any] | None = None
    last_seq: int = 0
    end_seq: int | None = None
    reserved_seq: int = 0
    size: int = 0
    webhook_url: str | None = None
    webhook_delivery: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which executions; what is None does not matter. `since` is a created_at, Unix ms; `context_prefix` is how the
    ids of their contexts begin."""

    tenant: str | None = None
    sandbox_id: str | None = None
    context_id: str | None = None
    status: str | None = None
    dialect: str | None = None
    since: int | None = None
    context_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of the past is kept of each tenant: a number of ended executions, an age in ms, a size in bytes."""

    count: int
    age: int
    size: int


@dataclass(frozen=True, slots=True)
class Removed:
    """What the retention has removed: executions, and the bytes of their journals."""

    ids: tuple[str, ...] = ()
    size: int = 0


def add(connection: Connection, row: ExecutionRow) -> None:
    """Insert a new one."""
    connection.execute(_INSERT, {name: getattr(row, name) for name in _GIVEN})


def change(connection: Connection, execution_id: str, values: Mapping[str, Any]) -> bool:
    """Set columns of one; False where there is none any more."""
    return connection.execute(_UPDATE, {"wanted": execution_id, **values}).rowcount > 0


def check(connection: Connection) -> None:
    """Write nothing, which only a database that could be written to lets pass."""
    connection.execute(update(executions).where(false()).values(size=0))


def get(connection: Connection, execution_id: str) -> ExecutionRow | None:
    """The one with this id."""
    found = connection.execute(_GET, {"wanted": execution_id}).mappings().one_or_none()
    return None if found is None else row_of(found)


def by_key(connection: Connection, tenant: str, sandbox_id: str, key: str) -> ExecutionRow | None:
    """The one that was made with this idempotency key."""
    columns = executions.c
    query = select(executions).where(
        columns.tenant == tenant, columns.sandbox_id == sandbox_id, columns.idempotency_key == key
    )
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else row_of(found)


def page(connection: Connection, wanted: Wanted, limit: int, before: int | None = None) -> list[ExecutionRow]:
    """At most `limit` of them, the newest first; after a page the next begins `before` its last one's number."""
    query = _matching(select(executions), wanted).order_by(executions.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(executions.c.number < before)
    return [row_of(found) for found in connection.execute(query).mappings()]


def unfinished(connection: Connection, node: str) -> list[ExecutionRow]:
    """Those of a node that have not ended, from the oldest on."""
    query = select(executions).where(executions.c.node == node, executions.c.status.not_in(TERMINAL))
    return [row_of(found) for found in connection.execute(query.order_by(executions.c.number)).mappings()]


def prune(connection: Connection, tenant: str, keep: Keep, now: int) -> Removed:
    """Remove what a tenant's retention does not keep, those that ended first before the others. One that is too large
    alone stays until the next one ends."""
    if not _due(connection, tenant, keep, now):
        return Removed()
    ended = select(executions.c.id, executions.c.finished_at, executions.c.size).where(
        executions.c.tenant == tenant, executions.c.finished_at.is_not(None)
    )
    newest_first = connection.execute(ended.order_by(executions.c.finished_at.desc(), executions.c.number.desc()))
    kept_size, gone, gone_size = 0, [], 0
    for place, (execution_id, finished_at, size) in enumerate(newest_first):
        kept_size += size
        too_large = kept_size > keep.size and place > 0
        if place >= keep.count or now - finished_at > keep.age or too_large:
            gone.append(execution_id)
            gone_size += size
    remove(connection, gone)
    return Removed(tuple(gone), gone_size)


def _due(connection: Connection, tenant: str, keep: Keep, now: int) -> bool:
    columns = executions.c
    query = select(func.count(), func.coalesce(func.sum(columns.size), 0), func.min(columns.finished_at))
    ended = query.where(columns.tenant == tenant, columns.finished_at.is_not(None))
    count, size, oldest = connection.execute(ended).one()
    return count > keep.count or size > keep.size or (oldest is not None and now - oldest > keep.age)


def remove(connection: Connection, execution_ids: list[str]) -> None:
    """Remove these, with their journals."""
    for start in range(0, len(execution_ids), _AT_ONCE):
        some = execution_ids[start : start + _AT_ONCE]
        for table in (journal, agent_runs, approvals, deliveries):
            connection.execute(delete(table).where(table.c.execution_id.in_(some)))
        connection.execute(delete(executions).where(executions.c.id.in_(some)))


def tenants_of_ended(connection: Connection) -> list[str]:
    """Whose executions there are that have ended."""
    query = select(executions.c.tenant).where(executions.c.finished_at.is_not(None)).distinct()
    return list(connection.execute(query).scalars())


def stored_bytes(connection: Connection, tenant: str) -> int:
    """How much the journals of a tenant take."""
    query = select(func.coalesce(func.sum(executions.c.size), 0)).where(executions.c.tenant == tenant)
    return int(connection.execute(query).scalar_one())


def _matching(query: Select[Any], wanted: Wanted) -> Select[Any]:
    columns = executions.c
    for name in ("tenant", "sandbox_id", "context_id", "status", "dialect"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(columns[name] == value)
    if wanted.context_prefix is not None:
        query = query.where(columns.context_id.startswith(wanted.context_prefix, autoescape=True))
    return query if wanted.since is None else query.where(columns.created_at >= wanted.since)


def row_of(found: RowMapping) -> ExecutionRow:
    """What a row of the table says."""
    return ExecutionRow(**{name: found[name] for name in _FIELDS})


_AT_ONCE = 500
_FIELDS = tuple(column.name for column in fields(ExecutionRow))
_GIVEN = tuple(name for name in _FIELDS if name != "number")
# Made once: making a statement takes longer than carrying it out.
_INSERT = insert(executions)
_UPDATE = update(executions).where(executions.c.id == bindparam("wanted"))
_GET = select(executions).where(executions.c.id == bindparam("wanted"))
