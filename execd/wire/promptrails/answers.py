"""The bodies of PromptRails' API, out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from execd.wire.execd.schemas import DELIVERY_STATUS


def _is_none(value: str | None) -> bool:
    return value is None


class AgentVersionBody(BaseModel):
    """A version of an agent."""

    id: str
    agent_id: str
    version: str
    config: dict[str, Any]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    is_current: bool
    message: str
    created_at: str


class AgentBody(BaseModel):
    """An agent."""

    id: str
    workspace_id: str
    name: str
    description: str
    type: str
    status: str
    labels: list[str]
    metadata: dict[str, Any]
    created_at: str
    updated_at: str
    current_version: AgentVersionBody | None


class UsageBody(BaseModel):
    """What a run has used of the machine; null where it is not known."""

    cpu_seconds: float | None
    peak_memory_bytes: int | None
    duration_ms: int | None
    output_bytes: int | None


class AgentExecutionBody(BaseModel):
    """A run of an agent. `id` and `execution_id` are the same."""

    id: str
    execution_id: str
    agent_id: str
    agent_version_id: str
    workspace_id: str
    user_id: str
    session_id: str
    parent_execution_id: str | None
    status: str
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str
    metadata: dict[str, Any]
    token_usage: dict[str, Any]
    cost: float
    usage: UsageBody
    duration_ms: int | None
    trace_id: str
    approval_expires_at: str | None
    children: list[AgentExecutionBody]
    started_at: str | None
    completed_at: str | None
    created_at: str
    webhook_url: str | None = Field(None, exclude_if=_is_none)
    webhook_delivery_status: str | None = Field(None, exclude_if=_is_none, description=DELIVERY_STATUS)


class ApprovalBody(BaseModel):
    """What a run waits for, or has waited for."""

    id: str
    execution_id: str
    workspace_id: str
    agent_id: str
    checkpoint_name: str
    payload: Any
    status: str
    reason: str
    decided_by: str
    decided_at: str | None
    expires_at: str | None
    created_at: str


class MetaBody(BaseModel):
    """Which page this is, and how many there are, in the words of both generations."""

    total: int
    page: int
    limit: int
    pages: int
    total_pages: int


class AgentEnvelope(BaseModel):
    """One agent."""

    data: AgentBody


class AgentPage(BaseModel):
    """Some agents."""

    data: list[AgentBody]
    meta: MetaBody


class AgentVersionEnvelope(BaseModel):
    """One version."""

    data: AgentVersionBody


class AgentVersionList(BaseModel):
    """All versions."""

    data: list[AgentVersionBody]


class AgentExecutionEnvelope(BaseModel):
    """One run."""

    data: AgentExecutionBody


class AgentExecutionPage(BaseModel):
    """Some runs."""

    data: list[AgentExecutionBody]
    meta: MetaBody


class ApprovalEnvelope(BaseModel):
    """One approval."""

    data: ApprovalBody


class ApprovalPage(BaseModel):
    """Some approvals."""

    data: list[ApprovalBody]
    meta: MetaBody
