"""How agents, their runs and approvals look in this dialect. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from execd.events import Status
from execd.service.agent import Agent, Version
from execd.service.agent_output import BYTES, COST, OUTPUT, TOKENS
from execd.service.execution import Execution
from execd.store.approvals import ApprovalRow
from execd.wire.promptrails.answers import (
    AgentBody,
    AgentExecutionBody,
    AgentVersionBody,
    ApprovalBody,
    UsageBody,
)
from execd.wire.statuses import promptrails_word
from execd.wire.times import rfc3339

_MIB = 1024 * 1024


def agent_body(agent: Agent) -> AgentBody:
    """An agent."""
    return AgentBody(
        id=agent.id,
        workspace_id=agent.tenant,
        name=agent.name,
        description=agent.description,
        type=agent.kind,
        status=agent.status,
        labels=list(agent.labels),
        metadata=dict(agent.metadata),
        created_at=rfc3339(agent.created_at),
        updated_at=rfc3339(agent.updated_at),
        current_version=None if agent.current is None else version_body(agent.current, agent.current.id),
    )


def version_body(version: Version, current: str | None) -> AgentVersionBody:
    """A version; `current` is the id of the agent's current one."""
    config = version.config.as_json
    memory = config.pop("memory")
    return AgentVersionBody(
        id=version.id,
        agent_id=version.agent_id,
        version=version.version,
        config={**config, "memory_mb": None if memory is None else memory // _MIB},
        input_schema=dict(version.input_schema),
        output_schema=None if version.output_schema is None else dict(version.output_schema),
        is_current=version.id == current,
        message=version.message,
        created_at=rfc3339(version.created_at),
    )


def execution_body(
    execution: Execution, *, newer: bool, children: Sequence[AgentExecutionBody] = ()
) -> AgentExecutionBody:
    """A run, for a client of this generation."""
    detail = execution.origin.detail
    over = execution.complete is not None
    return AgentExecutionBody(
        id=execution.id,
        execution_id=execution.id,
        agent_id=detail.get("agent_id", ""),
        agent_version_id=detail.get("agent_version_id", ""),
        workspace_id=execution.origin.tenant,
        user_id=detail.get("user_id", ""),
        session_id=detail.get("session_id", ""),
        parent_execution_id=detail.get("parent_execution_id"),
        status=promptrails_word(execution.status, newer=newer, cancelling=execution.cancel_requested_at is not None),
        input=dict(execution.request.given or {}),
        output=output_of(execution),
        error=error_of(execution),
        metadata=detail.get("metadata", {}),
        token_usage=detail.get(TOKENS, {}),
        cost=detail.get(COST, 0.0),
        usage=_usage(execution),
        duration_ms=execution.elapsed_ms() if over else None,
        trace_id=execution.id,
        approval_expires_at=_approval_expires_at(execution),
        children=list(children),
        started_at=_moment(execution.started_at),
        completed_at=_moment(execution.finished_at),
        created_at=rfc3339(execution.created_at),
        webhook_url=execution.origin.webhook_url,
        webhook_delivery_status=execution.webhook_delivery,
    )


def output_of(execution: Execution) -> dict[str, Any] | None:
    """What a run has returned, once it is over."""
    return execution.origin.detail.get(OUTPUT) if execution.complete is not None else None


def error_of(execution: Execution) -> str:
    """What has gone wrong, empty where nothing has."""
    if execution.complete is None or execution.status is Status.SUCCEEDED:
        return ""
    error = execution.error
    if error is None:
        return execution.status.value
    return f"{error.ename}: {error.evalue}" if error.evalue else error.ename


def approval_body(row: ApprovalRow) -> ApprovalBody:
    """An approval."""
    return ApprovalBody(
        id=row.id,
        execution_id=row.execution_id,
        workspace_id=row.tenant,
        agent_id=row.agent_id,
        checkpoint_name=row.checkpoint,
        payload=row.payload,
        status=row.status,
        reason=row.reason,
        decided_by=row.decided_by,
        decided_at=_moment(row.decided_at),
        expires_at=_moment(row.expires_at),
        created_at=rfc3339(row.created_at),
    )


def _usage(execution: Execution) -> UsageBody:
    complete = execution.complete
    return UsageBody(
        cpu_seconds=None if complete is None else complete.cpu_seconds,
        peak_memory_bytes=None if complete is None else complete.peak_memory_bytes,
        duration_ms=None if complete is None else execution.elapsed_ms(),
        output_bytes=execution.origin.detail.get(BYTES),
    )


def _approval_expires_at(execution: Execution) -> str | None:
    if execution.status is not Status.AWAITING_APPROVAL:
        return None
    return _moment(execution.origin.detail.get("approval_expires_at"))


def _moment(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
