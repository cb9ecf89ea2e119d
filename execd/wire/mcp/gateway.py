"""What stands behind /mcp while the service lives: the server, loaded when it is first asked for, and its sessions.

Every tenant has sessions of its own, so that no other finds them. What is complete in itself is served by two managers
without sessions, one for clients that read streams, one for those that do not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.abc
import structlog
from anyio import to_thread

from execd.errors import PackageMissing
from execd.service.caller import calling, tenant
from execd.service.programs import Programs
from execd.service.sandboxes import Sandboxes
from execd.wire.mcp.calls import Calls
from execd.wire.mcp.routing import Route, Served

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from execd.wire.mcp.managers import Managers

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_gateway(sandboxes: Sandboxes, programs: Programs) -> AsyncIterator[Gateway]:
    """A gateway, while the block runs; its sessions end with it."""
    async with anyio.create_task_group() as tasks:
        yield Gateway(sandboxes, programs, tasks)
        tasks.cancel_scope.cancel()


class Gateway:
    """Finds who serves a request. What that takes belongs to `tasks`."""

    def __init__(self, sandboxes: Sandboxes, programs: Programs, tasks: anyio.abc.TaskGroup) -> None:
        self._sandboxes = sandboxes
        self._programs = programs
        self._tasks = tasks
        self._loading = anyio.Lock()
        self._managers: Managers | None = None
        self.calls = Calls()

    async def manager(self, route: Route) -> StreamableHTTPSessionManager | None:
        """Who serves such a request of whoever asks, None where there is no such session. Raises PackageMissing."""
        managers = await self._loaded()
        if route.served is not Served.IN_SESSION:
            return managers.by_itself(as_json=route.served is Served.BY_ITSELF_AS_JSON)
        if route.begins:
            return await managers.for_sessions_of(tenant())
        return managers.having_sessions_of(tenant())

    async def _loaded(self) -> Managers:
        async with self._loading:
            if self._managers is None:
                await to_thread.run_sync(load)
                from execd.wire.mcp.managers import Managers

                made = Managers(self._sandboxes, self._programs, self.calls, self._tasks)
                # Its tasks live longer than this request, and are nobody's.
                with calling(None):
                    await made.start()
                self._managers = made
            return self._managers


def load() -> None:
    """Import the package, which takes a second. Raises PackageMissing."""
    try:
        import execd.wire.mcp.managers
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise PackageMissing("MCP", "mcp") from error
    log.debug("mcp_loaded", by=execd.wire.mcp.managers.__name__)
