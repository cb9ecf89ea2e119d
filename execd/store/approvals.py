"""Approvals as rows: asked for once, and decided at most once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from execd.store.executions import TERMINAL
from execd.store.pages import page
from execd.store.tables import approvals, executions

PENDING = "pending"


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """One approval that an execution waits for, or has waited for. Times are Unix ms; without `expires_at` it waits for
    ever. `reason` and `decided_by` are empty where nobody has said them."""

    id: str
    tenant: str
    execution_id: str
    agent_id: str
    checkpoint: str
    payload: Any
    created_at: int
    expires_at: int | None = None
    status: str = PENDING
    reason: str = ""
    decided_by: str = ""
    decided_at: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided: the status that follows, why, by whom and when."""

    status: str
    at: int
    reason: str = ""
    by: str = ""


def add(connection: Connection, row: ApprovalRow) -> None:
    """Insert a new one."""
    connection.execute(insert(approvals), asdict(row))


def get(connection: Connection, tenant: str, approval_id: str) -> ApprovalRow | None:
    """The one with this id."""
    query = select(approvals).where(approvals.c.id == approval_id, approvals.c.tenant == tenant)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _row(found)


def of_execution(connection: Connection, execution_id: str) -> list[ApprovalRow]:
    """All that an execution has waited for, the newest first."""
    query = select(approvals).where(approvals.c.execution_id == execution_id).order_by(approvals.c.number.desc())
    return [_row(found) for found in connection.execute(query).mappings()]


def listed(
    connection: Connection, tenant: str, status: str | None, offset: int, limit: int
) -> tuple[list[ApprovalRow], int]:
    """A tenant's, the newest first, and how many there are."""
    query = select(approvals).where(approvals.c.tenant == tenant)
    if status is not None:
        query = query.where(approvals.c.status == status)
    found, total = page(connection, query, approvals.c.number, offset, limit)
    return [_row(row) for row in found], total


def decide(connection: Connection, approval_id: str, decision: Decision) -> bool:
    """Decide one; False where that is done already, or there is none."""
    values = {
        "status": decision.status,
        "reason": decision.reason,
        "decided_by": decision.by,
        "decided_at": decision.at,
    }
    pending = approvals.c.id == approval_id, approvals.c.status == PENDING
    return connection.execute(update(approvals).where(*pending).values(**values)).rowcount > 0


def decide_for_ended(connection: Connection, decision: Decision) -> int:
    """Decide like this whatever executions wait for that have ended; how many that were."""
    ended = select(executions.c.id).where(executions.c.status.in_(TERMINAL))
    found = select(approvals.c.id).where(approvals.c.status == PENDING, approvals.c.execution_id.in_(ended))
    return sum(decide(connection, approval_id, decision) for approval_id in connection.execute(found).scalars().all())


def _row(found: RowMapping) -> ApprovalRow:
    return ApprovalRow(**{name: found[name] for name in ApprovalRow.__dataclass_fields__})
