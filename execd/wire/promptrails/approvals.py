"""Approvals as records of their own: shown, listed, decided."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import AlreadyDecided, ApprovalNotFound, ExecutionNotFound, InvalidRequest, NotAwaitingApproval
from execd.service.approvals import STATUSES
from execd.service.caller import Scope, tenant
from execd.wire.body import read_model
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.promptrails.agents import answer
from execd.wire.promptrails.answers import ApprovalEnvelope, ApprovalPage
from execd.wire.promptrails.asking import PAGE_PARAMETERS, page_wanted, path_id, verdict_of
from execd.wire.promptrails.errors import PROMPTRAILS_ERRORS
from execd.wire.promptrails.rendering import approval_body
from execd.wire.promptrails.schemas import Decide
from execd.wire.state import agency_of, sandboxes_of

_TAG = "promptrails"
_WORDS = {"approved": True, "rejected": False}


async def promptrails_list_approvals(request: Request) -> Response:
    """Approvals, the newest first."""
    page = page_wanted(request.query_params)
    status = request.query_params.get("status") or None
    if status is not None and status not in STATUSES:
        raise InvalidRequest(f"expected one of {', '.join(STATUSES)}, got {status[:40]!r}", "status")
    found, total = await agency_of(request).approvals.page(tenant(), status, page.offset, page.limit)
    return answer(ApprovalPage(data=[approval_body(row) for row in found], meta=page.meta(total)))


async def promptrails_get_approval(request: Request) -> Response:
    """One approval."""
    row = await agency_of(request).approvals.get(tenant(), path_id(request, "approval_id"))
    return answer(ApprovalEnvelope(data=approval_body(row)))


async def promptrails_decide(request: Request) -> Response:
    """Approve or reject."""
    body = await read_model(request, Decide, sandboxes_of(request).settings.max_body)
    if body.decision not in _WORDS:
        raise InvalidRequest(f"expected approved or rejected, got {body.decision[:40]!r}", "decision")
    verdict = verdict_of(body, approve=_WORDS[body.decision])
    row = await agency_of(request).approvals.decide(tenant(), path_id(request, "approval_id"), verdict)
    return answer(ApprovalEnvelope(data=approval_body(row)))


async def promptrails_pending_approval(request: Request) -> Response:
    """What a run waits for."""
    agency = agency_of(request)
    execution = await agency.runs.get(tenant(), path_id(request, "execution_id"))
    try:
        row = await agency.approvals.pending(execution.id)
    except NotAwaitingApproval as error:
        raise ApprovalNotFound(execution.id) from error
    return answer(ApprovalEnvelope(data=approval_body(row)))


_RECORD = Answer("The approval", model=ApprovalEnvelope)

OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/approvals",
        promptrails_list_approvals,
        "List approvals, newest first",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("A page of them", model=ApprovalPage),
        parameters=(*PAGE_PARAMETERS, Parameter("status", f"Only those in this status: {', '.join(STATUSES)}.")),
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/api/v1/approvals/{approval_id}",
        promptrails_get_approval,
        "Show an approval",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        errors=(ApprovalNotFound,),
    ),
    Operation(
        "POST",
        "/api/v1/approvals/{approval_id}/decide",
        promptrails_decide,
        "Approve or reject",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        body=Decide,
        errors=(InvalidRequest, ApprovalNotFound, AlreadyDecided),
        scope=Scope.MANAGE,
    ),
    Operation(
        "GET",
        "/api/v1/executions/{execution_id}/pending-approval",
        promptrails_pending_approval,
        "Show what a run waits for",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        errors=(ExecutionNotFound, ApprovalNotFound),
    ),
)
