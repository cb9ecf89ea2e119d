"""The composition root: settings in, an ASGI application out. Everything that lives hangs off its lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypedDict

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from execd.errors import CannotServe
from execd.service.meters import Meters
from execd.service.opening import open_sandboxes
from execd.service.programs import Programs, open_programs
from execd.service.sandboxes import Sandboxes
from execd.service.webhooks import Webhooks, open_webhooks
from execd.settings import Settings
from execd.wire.baponi import executions as baponi_executions
from execd.wire.baponi import files as baponi_files
from execd.wire.baponi import health, running, signed
from execd.wire.baponi.errors import BAPONI
from execd.wire.dialects import TOKEN_HEADER
from execd.wire.execd import (
    acting,
    all_executions,
    capabilities,
    code,
    commands,
    contexts,
    directories,
    executions,
    files,
    isolated,
    metrics,
    ping,
    proxy,
    sessions,
    terminals,
    transfers,
    watching,
    webhooks,
)
from execd.wire.fallbacks import FALLBACKS
from execd.wire.guard import API_KEY_HEADER, COMMON_KEY_HEADER, Guard, Policy
from execd.wire.mcp import endpoint as mcp_endpoint
from execd.wire.mcp.errors import MCP
from execd.wire.mcp.gateway import Gateway, open_gateway
from execd.wire.mcp.routing import SESSION_HEADER, VERSION_HEADER
from execd.wire.mounting import below, execd_mounts, managing
from execd.wire.nullspace import artifacts, live, processes, raw_files, reaching, runs
from execd.wire.nullspace import code as nullspace_code
from execd.wire.nullspace import contexts as nullspace_contexts
from execd.wire.nullspace import files as nullspace_files
from execd.wire.nullspace import sandboxes as nullspace_sandboxes
from execd.wire.nullspace import uploads as nullspace_uploads
from execd.wire.nullspace.errors import NULLSPACE
from execd.wire.nullspace.generation import in_both, passages_in_both
from execd.wire.openapi import openapi_route
from execd.wire.opensandbox import egress as opensandbox_egress
from execd.wire.opensandbox import endpoints as opensandbox_endpoints
from execd.wire.opensandbox import sandboxes as opensandbox_sandboxes
from execd.wire.opensandbox.errors import OPENSANDBOX
from execd.wire.operation import Operation, Passage
from execd.wire.promptrails import agents as promptrails_agents
from execd.wire.promptrails import approvals as promptrails_approvals
from execd.wire.promptrails import executions as promptrails_executions
from execd.wire.promptrails.errors import PROMPTRAILS
from execd.wire.renderings import renderings
from execd.wire.request_log import REQUEST_ID_HEADER, RequestLog

# What works in a sandbox: at the root in the one named default.
SANDBOX_OPERATIONS: tuple[Operation, ...] = (
    *code.OPERATIONS,
    *commands.OPERATIONS,
    *contexts.OPERATIONS,
    *executions.OPERATIONS,
    *sessions.OPERATIONS,
    *files.OPERATIONS,
    *transfers.OPERATIONS,
    *directories.OPERATIONS,
    *acting.as_user((*files.OPERATIONS, *transfers.OPERATIONS, *directories.OPERATIONS)),
    *watching.OPERATIONS,
    *metrics.OPERATIONS,
    *isolated.OPERATIONS,
    *terminals.OPERATIONS,
)
EXECD_OPERATIONS: tuple[Operation, ...] = (
    *ping.OPERATIONS,
    *(replace(operation, enters=True) for operation in SANDBOX_OPERATIONS),
)
EXECD_PASSAGES: tuple[Passage, ...] = tuple(
    replace(passage, enters=True) for passage in (*terminals.PASSAGES, *proxy.PASSAGES)
)
_OPENSANDBOX = (*managing(opensandbox_sandboxes.OPERATIONS), *opensandbox_endpoints.OPERATIONS)
_NULLSPACE = (
    *managing(nullspace_sandboxes.OPERATIONS),
    *reaching.OPERATIONS,
    *processes.OPERATIONS,
    *nullspace_files.OPERATIONS,
    *raw_files.OPERATIONS,
    *nullspace_uploads.OPERATIONS,
    *nullspace_code.OPERATIONS,
    *nullspace_contexts.OPERATIONS,
    *runs.OPERATIONS,
    *artifacts.OPERATIONS,
)
_SANDBOX_BASES = ("/v1/sandboxes", "/v1/machines")

OPERATIONS: tuple[Operation, ...] = (
    *EXECD_OPERATIONS,
    *capabilities.OPERATIONS,
    *all_executions.OPERATIONS,
    *webhooks.OPERATIONS,
    *below("/opensandbox/v1", _OPENSANDBOX),
    *below("/opensandbox", _OPENSANDBOX, "_unversioned"),
    *in_both(_NULLSPACE),
    *below("/v1/sandboxes", managing(opensandbox_egress.OPERATIONS)),
    *raw_files.LINK_OPERATIONS,
    *artifacts.LINK_OPERATIONS,
    *running.OPERATIONS,
    *baponi_executions.OPERATIONS,
    *baponi_files.OPERATIONS,
    *signed.OPERATIONS,
    *health.OPERATIONS,
    *managing(promptrails_agents.OPERATIONS),
    *promptrails_executions.OPERATIONS,
    *promptrails_approvals.OPERATIONS,
    *mcp_endpoint.OPERATIONS,
)
PASSAGES: tuple[Passage, ...] = (
    *EXECD_PASSAGES,
    *(
        replace(passage, enters=True, path=f"{base}/{{sandbox_id}}{passage.path}")
        for base in _SANDBOX_BASES
        for passage in proxy.PASSAGES
    ),
    *passages_in_both(live.PASSAGES),
)
DIALECTS = (OPENSANDBOX, NULLSPACE, BAPONI, PROMPTRAILS, MCP)


class State(TypedDict):
    """What the lifespan gives to every request."""

    sandboxes: Sandboxes
    programs: Programs
    mcp: Gateway
    webhooks: Webhooks


def create_app(settings: Settings, ordinary_files: int | None = None) -> Starlette:
    """The service as an ASGI application. Its lifespan makes and ends the sandboxes; `app.state.sandboxes` are they, or
    `app.state.refusal` is why there can be none. `ordinary_files` is the soft limit of open files before the process
    raised it."""
    meters = Meters()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        try:
            async with (
                open_sandboxes(settings, meters, renderings(settings), ordinary_files) as sandboxes,
                open_programs(sandboxes) as programs,
                open_webhooks(sandboxes) as hooks,
                open_gateway(sandboxes, programs) as gateway,
            ):
                app.state.sandboxes = sandboxes
                yield {"sandboxes": sandboxes, "programs": programs, "webhooks": hooks, "mcp": gateway}
        except CannotServe as refusal:
            app.state.refusal = refusal
            raise

    app = Starlette(
        routes=[
            *execd_mounts(_SANDBOX_BASES, EXECD_OPERATIONS, EXECD_PASSAGES),
            *(operation.route() for operation in OPERATIONS),
            *(route for passage in PASSAGES for route in passage.routes()),
            openapi_route(OPERATIONS, PASSAGES),
        ],
        middleware=_middleware(settings, meters),
        exception_handlers=FALLBACKS,
        lifespan=lifespan,
    )
    app.state.dialects = DIALECTS
    return app


def _middleware(settings: Settings, meters: Meters) -> list[Middleware]:
    policy = Policy(settings.access_token, frozenset(settings.allowed_hosts), frozenset(settings.allowed_origins))
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Content-Type",
            "If-None-Match",
            "If-Range",
            "Last-Event-ID",
            "Range",
            TOKEN_HEADER,
            API_KEY_HEADER,
            COMMON_KEY_HEADER,
            "Authorization",
            "Idempotency-Key",
            REQUEST_ID_HEADER,
            SESSION_HEADER,
            VERSION_HEADER,
            "Mcp-Method",
            "Mcp-Name",
        ],
        expose_headers=[
            REQUEST_ID_HEADER,
            "Accept-Ranges",
            "Content-Disposition",
            "Content-Range",
            "ETag",
            "Retry-After",
            "EXECD-COMMANDS-TAIL-CURSOR",
            "EXECD-EXECUTION-ID",
            "EXECD-INTERRUPT-RUNG",
            "EXECD-CONTEXT-STATE",
            SESSION_HEADER,
        ],
    )
    # CORS before the guard: a browser's preflight carries no token.
    return [
        Middleware(RequestLog, meters=meters),
        *([cors] if settings.allowed_origins else []),
        Middleware(Guard, policy=policy),
    ]
