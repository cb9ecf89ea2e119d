"""Executions of all sandboxes of a tenant, those that are no more among them. An addition of ours."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import InvalidRequest
from execd.events import Status
from execd.service.caller import default_sandbox, tenant
from execd.service.execution import DEFAULT_SANDBOX, Execution
from execd.store.executions import Wanted
from execd.wire.cursor import decode_cursor, next_cursor
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.executions import LIST_LIMIT, LIST_LIMIT_MOST, shown, status_of
from execd.wire.execd.schemas import ExecutionPage
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandboxes_of


async def list_all_executions(request: Request) -> Response:
    """A page of them, the newest first."""
    query = request.query_params
    status = status_of(query.get("status", ""))
    sandbox = query.get("sandbox") or None
    wanted = Wanted(
        tenant=tenant(),
        sandbox_id=default_sandbox() if sandbox == DEFAULT_SANDBOX else sandbox,
        status=None if status is None else status.value,
        since=whole_number("since", query["since"], 0) if query.get("since") else None,
    )
    limit = min(whole_number("limit", query.get("limit", ""), LIST_LIMIT), LIST_LIMIT_MOST)
    before = decode_cursor(query.get("cursor", ""))
    found = await sandboxes_of(request).executions.page(wanted, max(limit, 1), before)
    cursor = next_cursor(found.before)
    return JSONResponse({"items": [_item(execution) for execution in found.items], "next_cursor": cursor})


def _item(execution: Execution) -> dict[str, object]:
    mine = execution.sandbox_id == default_sandbox()
    return {**shown(execution), "sandbox_id": DEFAULT_SANDBOX if mine else execution.sandbox_id}


OPERATIONS = (
    Operation(
        "GET",
        "/v1/executions",
        list_all_executions,
        "List executions of all sandboxes, newest first",
        "executions",
        EXECD_ERRORS,
        Answer("A page of records", model=ExecutionPage),
        parameters=(
            Parameter("status", f"Only those in this status: {', '.join(Status)}."),
            Parameter("sandbox", "Only those of this sandbox."),
            Parameter("since", "Only those that were made at this time or later, in Unix ms.", type="integer"),
            Parameter("limit", f"How many at most: {LIST_LIMIT}, or up to {LIST_LIMIT_MOST}.", type="integer"),
            Parameter("cursor", "Where the page before has ended: its `next_cursor`."),
        ),
        errors=(InvalidRequest,),
    ),
)
