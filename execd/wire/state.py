"""What a request can reach: the sandboxes that the application's lifespan opened, and the one that it is about."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from execd.service.agency import Agency
from execd.service.artifacts import Artifacts
from execd.service.caller import default_sandbox
from execd.service.execution import DEFAULT_SANDBOX
from execd.service.programs import Programs
from execd.service.sandbox import Sandbox
from execd.service.sandboxes import Sandboxes
from execd.service.webhooks import Webhooks

SANDBOX_PREFIX = "sb_"
MACHINE_PREFIX = "mch_"


def sandboxes_of(connection: HTTPConnection) -> Sandboxes:
    """All sandboxes of the service."""
    sandboxes: Sandboxes = connection.state.sandboxes
    return sandboxes


def agency_of(connection: HTTPConnection) -> Agency:
    """Agents, their runs and approvals."""
    return sandboxes_of(connection).agency


def programs_of(connection: HTTPConnection) -> Programs:
    """The programs of the service."""
    programs: Programs = connection.state.programs
    return programs


def base_of(connection: HTTPConnection) -> str:
    """The URL of the service, as the client has reached it, without a path."""
    return f"{connection.url.scheme}://{connection.headers.get('host', '')}"


def webhooks_of(connection: HTTPConnection) -> Webhooks:
    """The webhooks of the service."""
    webhooks: Webhooks = connection.state.webhooks
    return webhooks


def artifacts_of(connection: HTTPConnection) -> Artifacts:
    """The artifacts of all sandboxes."""
    return sandboxes_of(connection).artifacts


def key_of(connection: HTTPConnection) -> str | None:
    """The token or key that the request was admitted by, None where none was wanted."""
    key: bytes | None = getattr(connection.state, "key", None)
    return None if key is None else key.decode()


async def enter(connection: HTTPConnection) -> Sandbox:
    """The running sandbox that the path names, or else `default`: from now on it is the request's. Raises
    SandboxNotFound, SandboxNotReady, ShuttingDown, SandboxFailed."""
    return await enter_sandbox(connection, sandbox_id_of(connection))


async def enter_sandbox(connection: HTTPConnection, sandbox_id: str) -> Sandbox:
    """The same for the sandbox with this id, which the path does not name."""
    sandbox = await sandboxes_of(connection).enter(sandbox_id)
    connection.state.sandbox = sandbox
    return sandbox


def sandbox_id_of(connection: HTTPConnection) -> str:
    """The id of the sandbox that the path names, or else `default`. One API calls sandboxes machines."""
    given = str(connection.path_params.get("sandbox_id", DEFAULT_SANDBOX))
    if given == DEFAULT_SANDBOX:
        return default_sandbox()
    return SANDBOX_PREFIX + given.removeprefix(MACHINE_PREFIX) if given.startswith(MACHINE_PREFIX) else given


def sandbox_of(connection: HTTPConnection) -> Sandbox:
    """The sandbox that this request has entered."""
    sandbox: Sandbox = connection.state.sandbox
    return sandbox
