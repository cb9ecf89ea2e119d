"""Executions of agents, found by what only those have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select

from execd.store.executions import ExecutionRow, row_of
from execd.store.pages import page
from execd.store.tables import agent_runs, executions


@dataclass(frozen=True, slots=True)
class AgentRunRow:
    """What an execution of an agent is found by; `session_id` is empty where there is none."""

    execution_id: str
    agent_id: str
    session_id: str = ""
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class WantedRuns:
    """Which executions of a tenant's agents; what is None does not matter."""

    tenant: str
    agent_id: str | None = None
    session_id: str | None = None
    status: str | None = None


def add(connection: Connection, row: AgentRunRow) -> None:
    """Insert what a new execution is found by."""
    connection.execute(insert(agent_runs), asdict(row))


def listed(connection: Connection, wanted: WantedRuns, offset: int, limit: int) -> tuple[list[ExecutionRow], int]:
    """Executions, the newest first, and how many there are."""
    query = select(executions).join(agent_runs, agent_runs.c.execution_id == executions.c.id)
    query = query.where(executions.c.tenant == wanted.tenant)
    for column, value in (
        (agent_runs.c.agent_id, wanted.agent_id),
        (agent_runs.c.session_id, wanted.session_id),
        (executions.c.status, wanted.status),
    ):
        if value is not None:
            query = query.where(column == value)
    found, total = page(connection, query, executions.c.number, offset, limit)
    return [row_of(row) for row in found], total


def children(connection: Connection, tenant: str, parent_ids: Collection[str], most: int) -> list[ExecutionRow]:
    """The executions whose parents these are, at most so many, from the oldest on."""
    query = select(executions).join(agent_runs, agent_runs.c.execution_id == executions.c.id)
    query = query.where(executions.c.tenant == tenant, agent_runs.c.parent_id.in_(list(parent_ids)))
    found = connection.execute(query.order_by(executions.c.number).limit(most)).mappings()
    return [row_of(row) for row in found]
