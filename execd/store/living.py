"""Sandboxes and contexts as rows: what a service needs to find again what it has left in its warden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from execd.store.tables import contexts, sandboxes


@dataclass(frozen=True, slots=True)
class SandboxRow:
    """A sandbox. `record` is what is known of it, `trace` what finding it again takes; times are Unix ms, and
    `ended_at` is None while it lives."""

    id: str
    node: str
    tenant: str
    record: Mapping[str, Any]
    trace: Mapping[str, Any]
    created_at: int
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A context, or a session of a shell. `trace` is None while it has no interpreter."""

    id: str
    node: str
    sandbox_id: str
    record: Mapping[str, Any]
    trace: Mapping[str, Any] | None
    created_at: int


def put_sandbox(connection: Connection, row: SandboxRow) -> None:
    """Keep a sandbox as it is now."""
    columns = sandboxes.c
    values = asdict(row)
    changed = update(sandboxes).where(columns.id == row.id, columns.node == row.node).values(**values)
    if not connection.execute(changed).rowcount:
        connection.execute(insert(sandboxes).values(**values))


def put_context(connection: Connection, row: ContextRow) -> None:
    """Keep a context as it is now."""
    values = asdict(row)
    if not connection.execute(update(contexts).where(contexts.c.id == row.id).values(**values)).rowcount:
        connection.execute(insert(contexts).values(**values))


def remove_context(connection: Connection, context_id: str) -> None:
    """Keep nothing of a context."""
    connection.execute(delete(contexts).where(contexts.c.id == context_id))


def remove_contexts_of(connection: Connection, node: str, sandbox_id: str) -> None:
    """Keep nothing of a sandbox's contexts."""
    connection.execute(delete(contexts).where(contexts.c.node == node, contexts.c.sandbox_id == sandbox_id))


def all_sandboxes(connection: Connection, node: str) -> list[SandboxRow]:
    """Those of a node, ended ones too, from the oldest on."""
    query = select(sandboxes).where(sandboxes.c.node == node).order_by(sandboxes.c.created_at, sandboxes.c.id)
    return [SandboxRow(**found) for found in connection.execute(query).mappings()]


def all_contexts(connection: Connection, node: str) -> list[ContextRow]:
    """Those of a node, from the oldest on."""
    query = select(contexts).where(contexts.c.node == node).order_by(contexts.c.created_at, contexts.c.id)
    return [ContextRow(**found) for found in connection.execute(query).mappings()]


def remove_ended(connection: Connection, node: str, keep: int) -> None:
    """Keep of the ended sandboxes of a node only those that ended last."""
    columns = sandboxes.c
    ended = select(columns.id).where(columns.node == node, columns.ended_at.is_not(None))
    oldest = ended.order_by(columns.ended_at.desc(), columns.id).offset(keep)
    gone = list(connection.execute(oldest).scalars())
    connection.execute(delete(sandboxes).where(columns.node == node, columns.id.in_(gone)))
