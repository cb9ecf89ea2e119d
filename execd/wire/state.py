"""What a request can reach: the sandbox that the application's lifespan opened."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from execd.service.sandbox import Sandbox


def sandbox_of(connection: HTTPConnection) -> Sandbox:
    """The sandbox that this request works in."""
    sandbox: Sandbox = connection.state.sandbox
    return sandbox
