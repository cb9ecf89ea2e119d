"""Agents and their versions as rows. Rows of another tenant are found by none of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from execd.store.pages import page
from execd.store.tables import agent_versions, agents


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent. `record` is what else there is to say of it, as JSON. Times are Unix ms."""

    id: str
    tenant: str
    name: str
    kind: str
    created_at: int
    updated_at: int
    current_version: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of an agent, which never changes."""

    id: str
    agent_id: str
    created_at: int
    record: Mapping[str, Any] = field(default_factory=dict)


def add(connection: Connection, row: AgentRow) -> None:
    """Insert a new agent."""
    connection.execute(insert(agents), asdict(row))


def get(connection: Connection, tenant: str, agent_id: str) -> AgentRow | None:
    """The agent with this id."""
    query = select(agents).where(agents.c.id == agent_id, agents.c.tenant == tenant)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _agent(found)


def listed(
    connection: Connection, tenant: str, like: Mapping[str, str], offset: int, limit: int
) -> tuple[list[AgentRow], int]:
    """Agents, the newest first, and how many there are; `like` are columns and the values that they must have."""
    query = select(agents).where(agents.c.tenant == tenant)
    for name, value in like.items():
        query = query.where(agents.c[name] == value)
    found, total = page(connection, query, agents.c.number, offset, limit)
    return [_agent(row) for row in found], total


def change(connection: Connection, agent_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of an agent."""
    connection.execute(update(agents).where(agents.c.id == agent_id).values(**values))


def remove(connection: Connection, agent_id: str) -> None:
    """Remove an agent with its versions. What they have run stays."""
    connection.execute(delete(agent_versions).where(agent_versions.c.agent_id == agent_id))
    connection.execute(delete(agents).where(agents.c.id == agent_id))


def add_version(connection: Connection, row: VersionRow) -> None:
    """Insert a new version."""
    connection.execute(insert(agent_versions), asdict(row))


def versions(connection: Connection, agent_id: str) -> list[VersionRow]:
    """All versions of an agent, the newest first."""
    query = select(agent_versions).where(agent_versions.c.agent_id == agent_id)
    return [_version(row) for row in connection.execute(query.order_by(agent_versions.c.number.desc())).mappings()]


def version(connection: Connection, agent_id: str, version_id: str) -> VersionRow | None:
    """The version of this agent with this id."""
    columns = agent_versions.c
    query = select(agent_versions).where(columns.agent_id == agent_id, columns.id == version_id)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _version(found)


def _agent(found: RowMapping) -> AgentRow:
    return AgentRow(**{name: found[name] for name in AgentRow.__dataclass_fields__})


def _version(found: RowMapping) -> VersionRow:
    return VersionRow(**{name: found[name] for name in VersionRow.__dataclass_fields__})
