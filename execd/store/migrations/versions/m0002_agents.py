"""Agents, their versions, what was run of them, and the approvals that runs wait for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    _make_agents()
    _make_approvals()


def _make_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("current_version", sa.Text()),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_agents"),
        sa.UniqueConstraint("id", name="uq_agents_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_agents_tenant_number", "agents", ["tenant", "number"])
    op.create_table(
        "agent_versions",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("record", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_agent_versions"),
        sa.UniqueConstraint("id", name="uq_agent_versions_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_agent_versions_agent_id_number", "agent_versions", ["agent_id", "number"])
    op.create_table(
        "agent_runs",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text()),
        sa.PrimaryKeyConstraint("execution_id", name="pk_agent_runs"),
    )
    for column in ("agent_id", "session_id", "parent_id"):
        op.create_index(f"ix_agent_runs_{column}", "agent_runs", [column])


def _make_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number", name="pk_approvals"),
        sa.UniqueConstraint("id", name="uq_approvals_id"),
        sqlite_autoincrement=True,
    )
    for columns in (("execution_id",), ("tenant", "status", "number")):
        op.create_index(f"ix_approvals_{'_'.join(columns)}", "approvals", list(columns))
