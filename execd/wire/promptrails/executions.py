"""Executions: agents run; their runs shown, listed, cancelled, streamed, approved and denied."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import (
    AgentNotFound,
    AlreadyDecided,
    ExecutionNotFound,
    InvalidRequest,
    NotAwaitingApproval,
    ShuttingDown,
    VersionNotFound,
)
from execd.events import Status
from execd.service.agent_runs import Call
from execd.service.caller import Scope, tenant
from execd.service.execution import Execution
from execd.store.agent_runs import WantedRuns
from execd.wire.body import read_bytes, read_model
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.promptrails.agents import answer
from execd.wire.promptrails.answers import AgentExecutionBody, AgentExecutionEnvelope, AgentExecutionPage
from execd.wire.promptrails.asking import PAGE_PARAMETERS, filter_of, page_wanted, path_id, status_wanted, verdict_of
from execd.wire.promptrails.errors import PROMPTRAILS_ERRORS
from execd.wire.promptrails.frames import ExecutionFrames, end_of, frame
from execd.wire.promptrails.generation import newer_of
from execd.wire.promptrails.rendering import execution_body
from execd.wire.promptrails.schemas import ExecuteAgent, Verdict
from execd.wire.state import agency_of, sandboxes_of, webhooks_of
from execd.wire.streams import event_stream, whole_stream

_TAG = "promptrails"
_DEEPEST = 20


async def promptrails_execute(request: Request) -> Response:
    """Run an agent, and wait for the end unless that is not wanted."""
    settings = sandboxes_of(request).settings
    body = await read_model(request, ExecuteAgent, settings.max_body)
    agency = agency_of(request)
    version = await agency.agents.version(tenant(), path_id(request, "agent_id"), body.version_id)
    url = webhooks_of(request).usable(body.webhook_url)
    call = Call(body.input, body.session_id, body.user_id, body.metadata, body.parent_execution_id, url)
    execution = await agency.runs.start(tenant(), version, call)
    if body.sync and not body.async_mode:
        await agency.runs.settled(execution, settings.execute_wait)
    return _one(request, execution, 201)


async def promptrails_get_execution(request: Request) -> Response:
    """One run's record."""
    return _one(request, await _execution(request))


async def promptrails_list_executions(request: Request) -> Response:
    """Runs, the newest first."""
    query = request.query_params
    status = status_wanted(query.get("status", ""))
    return await _page(request, filter_of(query, "agent_id"), filter_of(query, "session_id"), status)


async def promptrails_approval_inbox(request: Request) -> Response:
    """Runs that wait for an approval."""
    return await _page(request, None, None, Status.AWAITING_APPROVAL.value)


async def promptrails_execution_tree(request: Request) -> Response:
    """One run's record, with those of the runs below it."""
    root = await _execution(request)
    levels = [[root]]
    while levels[-1] and len(levels) < _DEEPEST:
        levels.append(await agency_of(request).runs.children(tenant(), levels[-1]))
    below: dict[str, list[AgentExecutionBody]] = {}
    body = execution_body(root, newer=newer_of(request))
    for level in reversed(levels):
        for execution in level:
            body = execution_body(execution, newer=newer_of(request), children=below.pop(execution.id, ()))
            below.setdefault(body.parent_execution_id or "", []).append(body)
    return answer(AgentExecutionEnvelope(data=body))


async def promptrails_cancel(request: Request) -> Response:
    """Ask for a run's end. One that is over already is shown as it is."""
    await _skip_body(request)
    execution = await _execution(request)
    await agency_of(request).runs.cancel(execution)
    return _one(request, execution)


async def promptrails_approve(request: Request) -> Response:
    """Approve what a run waits for."""
    return await _decide(request, approve=True)


async def promptrails_deny(request: Request) -> Response:
    """Reject what a run waits for."""
    return await _decide(request, approve=False)


async def promptrails_stream(request: Request) -> Response:
    """What a run does, as it does it; only the last frame of one that is over."""
    execution = await _execution(request)
    if execution.complete is not None:
        await execution.ended.wait()
        return whole_stream(frame(*end_of(execution)), {})
    settings = sandboxes_of(request).settings
    framing = ExecutionFrames(execution, newer=newer_of(request))
    return event_stream(execution.follow(), framing, settings.ping_interval, {})


async def _decide(request: Request, *, approve: bool) -> Response:
    body = await read_model(request, Verdict, sandboxes_of(request).settings.max_body)
    execution = await _execution(request)
    await agency_of(request).runs.decide(execution, verdict_of(body, approve=approve))
    return _one(request, await _execution(request))


async def _page(request: Request, agent_id: str | None, session_id: str | None, status: str | None) -> Response:
    page, newer = page_wanted(request.query_params), newer_of(request)
    wanted = WantedRuns(tenant(), agent_id, session_id, status)
    found, total = await agency_of(request).runs.page(wanted, page.offset, page.limit)
    bodies = [execution_body(execution, newer=newer) for execution in found]
    return answer(AgentExecutionPage(data=bodies, meta=page.meta(total)))


async def _execution(request: Request) -> Execution:
    return await agency_of(request).runs.get(tenant(), path_id(request, "execution_id"))


async def _skip_body(request: Request) -> None:
    await read_bytes(request, sandboxes_of(request).settings.max_body)


def _one(request: Request, execution: Execution, status: int = 200) -> Response:
    return answer(AgentExecutionEnvelope(data=execution_body(execution, newer=newer_of(request))), status)


_ALL = "/api/v1/executions"
_ONE = f"{_ALL}/{{execution_id}}"
_DECIDING = (InvalidRequest, ExecutionNotFound, NotAwaitingApproval, AlreadyDecided)
_RECORD = Answer("Its record", model=AgentExecutionEnvelope)

OPERATIONS = (
    Operation(
        "POST",
        "/api/v1/agents/{agent_id}/execute",
        promptrails_execute,
        "Run an agent",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("The run's record: at its end, or as it stands", status=201, model=AgentExecutionEnvelope),
        body=ExecuteAgent,
        errors=(InvalidRequest, AgentNotFound, VersionNotFound, ExecutionNotFound, ShuttingDown),
    ),
    Operation(
        "GET",
        _ALL,
        promptrails_list_executions,
        "List runs of agents, newest first",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("A page of them", model=AgentExecutionPage),
        parameters=(
            *PAGE_PARAMETERS,
            Parameter("agent_id", "Only those of this agent."),
            Parameter("session_id", "Only those of this session."),
            Parameter("status", "Only those in this status."),
        ),
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        f"{_ALL}/approval-inbox",
        promptrails_approval_inbox,
        "List runs that wait for an approval, newest first",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("A page of them", model=AgentExecutionPage),
        parameters=PAGE_PARAMETERS,
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        _ONE,
        promptrails_get_execution,
        "Show a run",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        errors=(ExecutionNotFound,),
    ),
    Operation(
        "GET",
        f"{_ONE}/tree",
        promptrails_execution_tree,
        "Show a run with those below it",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        errors=(ExecutionNotFound,),
    ),
    Operation(
        "GET",
        f"{_ONE}/stream",
        promptrails_stream,
        "Stream what a run does",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("Frames, the last of them done or error", media_type="text/event-stream"),
        errors=(ExecutionNotFound,),
    ),
    Operation(
        "POST",
        f"{_ONE}/cancel",
        promptrails_cancel,
        "Cancel a run",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        errors=(ExecutionNotFound,),
    ),
    Operation(
        "POST",
        f"{_ONE}/approve",
        promptrails_approve,
        "Approve what a run waits for",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        body=Verdict,
        errors=_DECIDING,
        scope=Scope.MANAGE,
    ),
    Operation(
        "POST",
        f"{_ONE}/deny",
        promptrails_deny,
        "Reject what a run waits for",
        _TAG,
        PROMPTRAILS_ERRORS,
        _RECORD,
        body=Verdict,
        errors=_DECIDING,
        scope=Scope.MANAGE,
    ),
)
