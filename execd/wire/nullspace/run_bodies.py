"""How contexts and runs are shown in Nullspace's words."""

from __future__ import annotations

import json
import math
from functools import partial

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from execd.service.code_runs import CodeRuns, failure_reason, kept_until
from execd.service.context import Context
from execd.service.execution import Execution
from execd.service.outputs import Outputs, outputs_of
from execd.settings import Settings
from execd.wire.nullspace.artifacts import with_links
from execd.wire.nullspace.code_schemas import CodeContextBody
from execd.wire.nullspace.generation import MACHINES, SANDBOXES
from execd.wire.nullspace.results import Dress, Json, execution_body
from execd.wire.state import sandbox_id_of, sandboxes_of
from execd.wire.statuses import WORDS, nullspace_word
from execd.wire.times import rfc3339

RUN_HEADER = "EXECD-EXECUTION-ID"

_LOOP_BYTES = 64 * 1024


def runs_of(request: Request) -> CodeRuns:
    """The runs of the sandbox that the path names, which may have ended."""
    return CodeRuns(sandboxes_of(request).executions_of(sandbox_id_of(request)))


def dress_of(request: Request, execution: Execution) -> Dress:
    """What a run's artifacts look like to whoever asks."""
    return partial(with_links, request, sandbox_id=execution.sandbox_id)


def context_body(context: Context) -> Json:
    """A context."""
    return CodeContextBody(id=context.id, language=context.language, cwd=str(context.cwd)).model_dump()


def run_body(execution: Execution, settings: Settings) -> Json:
    """A run's record, without what it has brought forth. What is not known is left out."""
    moments = {
        "started_at": execution.started_at,
        "completed_at": execution.finished_at,
        "cancel_requested_at": execution.cancel_requested_at,
    }
    reason = failure_reason(execution) or WORDS[execution.status].nullspace_reason
    return {
        "id": execution.id,
        SANDBOXES.id_field: SANDBOXES.id(execution.sandbox_id),
        MACHINES.id_field: MACHINES.id(execution.sandbox_id),
        "context_id": execution.context_id,
        "status": nullspace_word(execution.status, started=execution.started_at is not None),
        "timeout_secs": math.ceil(execution.request.timeout or settings.run_timeout),
        "created_at": rfc3339(execution.created_at),
        "expires_at": rfc3339(kept_until(execution, settings)),
        **{name: rfc3339(moment) for name, moment in moments.items() if moment is not None},
        **({} if reason is None else {"failure_reason": reason}),
        **_webhook(execution),
    }


def _webhook(execution: Execution) -> Json:
    url = execution.origin.webhook_url
    return {} if url is None else {"webhook_url": url, "webhook_delivery_status": execution.webhook_delivery}


async def run_response(request: Request, execution: Execution, status: int = 200) -> Response:
    """A run's record, with what it has brought forth once it has ended."""
    over = await ended(execution)
    shown = run_body(execution, sandboxes_of(request).settings)
    headers = {RUN_HEADER: execution.id}
    if not over or execution.started_at is None:
        return Response(_encoded(shown), status, headers, "application/json")
    outputs = await outputs_of(execution)
    encode = partial(_encoded, shown, outputs, dress_of(request, execution))
    large = execution.journal.size > _LOOP_BYTES
    return Response(await to_thread.run_sync(encode) if large else encode(), status, headers, "application/json")


async def ended(execution: Execution) -> bool:
    """Whether it has ended; if so, that is kept."""
    if execution.journal.ended:
        await execution.ended.wait()
    return execution.journal.ended


def _encoded(shown: Json, outputs: Outputs | None = None, dress: Dress = dict) -> bytes:
    body = shown if outputs is None else {**shown, "execution": execution_body(outputs, dress)}
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
