"""`execd mcp`: MCP over the standard input and output, with sandboxes of its own, or those of a service that runs."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx2
import structlog
from mcp.server import Server
from mcp.shared.exceptions import MCPError

from execd.errors import CannotServe, FolderInUse
from execd.service.caller import calling
from execd.service.meters import Meters
from execd.service.opening import open_sandboxes
from execd.service.programs import open_programs
from execd.settings import Settings
from execd.wire.mcp.bridge import Bridge
from execd.wire.mcp.calls import Calls
from execd.wire.mcp.server import Serving
from execd.wire.mcp.wire import claimed, messages

log = structlog.get_logger(__name__)

_CONNECT_SECONDS = 30.0


def serve_embedded(settings: Settings, check: Callable[[Settings], None], ordinary_files: int) -> None:
    """Serve with sandboxes of its own, which end with the input, unless `check` raises. `ordinary_files` is the soft
    limit of open files before the process raised it. Raises CannotServe."""

    # Nobody is to go on with what this one leaves.
    settings = settings.model_copy(update={"on_sigterm": "end"})

    async def serve(wire: tuple[int, int]) -> None:
        async with (
            open_sandboxes(settings, Meters(), ordinary_files=ordinary_files) as sandboxes,
            open_programs(sandboxes) as programs,
        ):
            log.info("serving_mcp", data_dir=str(settings.data_dir), isolation=sandboxes.capabilities.mode.value)
            try:
                with calling(sandboxes.keyring.operator):
                    await _serve(wire, Serving(sandboxes, programs, Calls()).server())
            finally:
                with anyio.CancelScope(shield=True):
                    await sandboxes.close()

    try:
        check(settings)
        _run(serve)
    except FolderInUse as error:
        said = f"{error}; or talk to that service: execd mcp --url http://127.0.0.1:{settings.port}"
        raise CannotServe(said) from error


def serve_bridged(url: str, key: str | None) -> None:
    """Serve what a service that runs serves at a URL. Raises CannotServe where nothing answers there."""
    where = mcp_url(url)
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def serve(wire: tuple[int, int]) -> None:
        timeout = httpx2.Timeout(_CONNECT_SECONDS, read=None)
        async with httpx2.AsyncClient(headers=headers, timeout=timeout) as http:
            try:
                server = await Bridge(where, http).server()
            except MCPError as error:
                raise CannotServe(f"no MCP at {where}: {error}") from error
            log.info("bridging_mcp", url=where)
            await _serve(wire, server)

    _run(serve)


def mcp_url(given: str) -> str:
    """The URL of a service's MCP, where it may be given without the path."""
    parts = urlsplit(given)
    return urlunsplit(parts._replace(path="/mcp")) if parts.path in ("", "/") else given


def _run(serve: Callable[[tuple[int, int]], Awaitable[None]]) -> None:
    async def until_a_signal(wire: tuple[int, int]) -> CannotServe | None:
        refusal: CannotServe | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_at_a_signal, tasks.cancel_scope)
            try:
                await serve(wire)
            except CannotServe as error:
                refusal = error
            tasks.cancel_scope.cancel()
        return refusal

    with claimed() as wire:
        refusal = anyio.run(until_a_signal, wire)
    if refusal is not None:
        raise refusal


async def _cancel_at_a_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            log.info("shutting_down", signal=number.name)
            scope.cancel()


async def _serve(wire: tuple[int, int], server: Server[Any]) -> None:
    async with messages(wire) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
