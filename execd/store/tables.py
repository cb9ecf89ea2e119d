"""The tables. Times are Unix milliseconds, sizes bytes; what is JSON is opaque to queries.

The same on SQLite and PostgreSQL. A change here goes with a migration in `migrations/`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

# SQLite numbers rows by itself only where the column is an INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

tenants = Table(
    "tenants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("limits", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# Of a key only what tells whether another text is the same is kept.
keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("limits", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

# What a tenant has used on one day (UTC, YYYY-MM-DD).
usage = Table(
    "usage",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("cpu_ms", BigInteger, nullable=False),
)

# `node` is the data folder whose service the row belongs to: several services may share a database.
sandboxes = Table(
    "sandboxes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("tenant", Text, nullable=False, index=True),
    Column("record", JSON, nullable=False),
    Column("trace", JSON),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)

contexts = Table(
    "contexts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("sandbox_id", Text, nullable=False),
    Column("record", JSON, nullable=False),
    Column("trace", JSON),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "node", "sandbox_id"),
)

executions = Table(
    "executions",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("node", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("sandbox_id", Text, nullable=False),
    Column("context_id", Text),
    Column("language", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("request", JSON, nullable=False),
    Column("envs", JSON),
    Column("detail", JSON, nullable=False),
    Column("idempotency_key", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("cancel_requested_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("execution_count", Integer),
    Column("duration_ms", BigInteger, nullable=False),
    Column("error", JSON),
    Column("complete", JSON),
    Column("trace", JSON),
    Column("last_seq", BigInteger, nullable=False),
    Column("end_seq", BigInteger),
    Column("reserved_seq", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("webhook_url", Text),
    Column("webhook_delivery", Text),
    UniqueConstraint("tenant", "sandbox_id", "idempotency_key"),
    Index(None, "tenant", "number"),
    Index(None, "sandbox_id", "number"),
    Index(None, "node", "status"),
    Index(None, "tenant", "finished_at"),
    sqlite_autoincrement=True,
)

# Consecutive records of a journal, each on a line of its own; `first` is the seq of the first.
journal = Table(
    "journal",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("sandbox_id", Text, nullable=False),
    Column("context_id", Text),
    Column("execution_id", Text, nullable=False, index=True),
    Column("execution_count", Integer),
    Column("kind", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False, index=True),
    Column("detail", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index(None, "sandbox_id", "number"),
    Index(None, "tenant"),
    sqlite_autoincrement=True,
)

# Code that is run by name, with an input that is checked. What is never queried is in `record`.
agents = Table(
    "agents",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("current_version", Text),
    Column("record", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index(None, "tenant", "number"),
    sqlite_autoincrement=True,
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("agent_id", Text, nullable=False),
    Column("record", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "agent_id", "number"),
    sqlite_autoincrement=True,
)

# What executions of agents are found by, besides what all executions are.
agent_runs = Table(
    "agent_runs",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("agent_id", Text, nullable=False, index=True),
    Column("session_id", Text, nullable=False, index=True),
    Column("parent_id", Text, index=True),
)

approvals = Table(
    "approvals",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("execution_id", Text, nullable=False, index=True),
    Column("agent_id", Text, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("decided_at", BigInteger),
    Index(None, "tenant", "status", "number"),
    sqlite_autoincrement=True,
)

# Where a tenant wants to be told what becomes of its executions.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("disabled_why", Text),
)

# What is sent is signed with these: the owner is a webhook, or the tenant whose executions name URLs of their own.
signing_secrets = Table(
    "signing_secrets",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("owner", Text, nullable=False, index=True),
    Column("secret", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    sqlite_autoincrement=True,
)

# What is to be sent, or was. `body` is only there where the execution will not look like that any more.
deliveries = Table(
    "deliveries",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("node", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("execution_id", Text, nullable=False, index=True),
    Column("webhook_id", Text, index=True),
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", JSON),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("ended_at", BigInteger, index=True),
    Index(None, "node", "state", "due_at"),
    Index(None, "tenant", "number"),
    sqlite_autoincrement=True,
)
