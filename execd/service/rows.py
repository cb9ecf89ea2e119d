"""Executions as the store has them, and back. Nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from execd.events import Complete, Error, Status
from execd.kernel.request import ExecuteRequest
from execd.service.execution import Execution, Origin, Restored
from execd.service.journal import RESERVED
from execd.store.executions import ExecutionRow


def new_row(execution: Execution, node: str) -> ExecutionRow:
    """A new execution's row."""
    origin = execution.origin
    request, envs = _asked(execution.request)
    return ExecutionRow(
        id=execution.id,
        node=node,
        tenant=origin.tenant,
        language=origin.language,
        dialect=origin.dialect,
        idempotency_key=origin.key,
        request=request,
        created_at=execution.created_at,
        webhook_url=origin.webhook_url,
        webhook_delivery=execution.webhook_delivery,
        **{**changing(execution), "envs": envs},
    )


def changing(execution: Execution) -> dict[str, Any]:
    """The columns that change while it lives. The journal's ends are those that are to be kept now."""
    complete, error, journal = execution.complete, execution.error, execution.journal
    columns = {
        "sandbox_id": execution.sandbox_id,
        "context_id": execution.context_id,
        "status": execution.status.value,
        "reason": complete.reason.value if complete is not None and complete.reason is not None else None,
        "detail": dict(execution.origin.detail),
        "started_at": execution.started_at,
        "cancel_requested_at": execution.cancel_requested_at,
        "finished_at": execution.finished_at,
        "execution_count": execution.execution_count,
        "duration_ms": execution.elapsed_ms() if complete is not None else 0,
        "error": None if error is None else error.payload(),
        "complete": None if complete is None else complete.payload(),
        "trace": execution.trace,
        "last_seq": journal.last_seq,
        "end_seq": journal.end_seq,
        "reserved_seq": journal.last_seq + RESERVED,
        "size": journal.size,
    }
    if execution.started_at is not None or execution.status.terminal:
        columns["envs"] = None
    return columns


def origin_of(row: ExecutionRow) -> Origin:
    """Who it is and where it belongs."""
    return Origin(
        row.id,
        row.context_id,
        row.language,
        row.sandbox_id,
        row.tenant,
        row.dialect,
        dict(row.detail),
        row.idempotency_key,
        row.webhook_url,
    )


def request_of(row: ExecutionRow) -> ExecuteRequest:
    """What was asked for."""
    known = {column.name for column in fields(ExecuteRequest)}
    asked = {name: value for name, value in row.request.items() if name in known}
    return ExecuteRequest(**asked, envs=row.envs or {})


def restored_of(row: ExecutionRow) -> Restored:
    """What has become of it."""
    return Restored(
        Status(row.status),
        row.created_at,
        row.started_at,
        row.cancel_requested_at,
        row.finished_at,
        row.execution_count,
        row.duration_ms,
        None if row.error is None else Error.of(row.error),
        None if row.complete is None else Complete.of(row.complete),
        None if row.trace is None else dict(row.trace),
        row.webhook_delivery,
    )


def _asked(request: ExecuteRequest) -> tuple[Mapping[str, Any], Mapping[str, str] | None]:
    asked = asdict(request)
    envs = asked.pop("envs")
    return asked, envs or None
