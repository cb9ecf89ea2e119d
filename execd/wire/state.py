"""What a request can reach: the sandboxes that the application's lifespan opened, and the one that it is about."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from execd.service.execution import DEFAULT_SANDBOX
from execd.service.sandbox import Sandbox
from execd.service.sandboxes import Sandboxes


def sandboxes_of(connection: HTTPConnection) -> Sandboxes:
    """All sandboxes of the service."""
    sandboxes: Sandboxes = connection.state.sandboxes
    return sandboxes


async def enter(connection: HTTPConnection) -> Sandbox:
    """The running sandbox that the path names, or else `default`: from now on it is the request's. Raises
    SandboxNotFound, SandboxNotReady, ShuttingDown, SandboxFailed."""
    wanted = connection.path_params.get("sandbox_id", DEFAULT_SANDBOX)
    sandbox = await sandboxes_of(connection).enter(wanted)
    connection.state.sandbox = sandbox
    return sandbox


def sandbox_of(connection: HTTPConnection) -> Sandbox:
    """The sandbox that this request has entered."""
    sandbox: Sandbox = connection.state.sandbox
    return sandbox
