"""The official package's session managers: two for what is complete in itself, and one a tenant for its sessions."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import anyio.abc
import structlog
from anyio.abc import TaskStatus
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from execd.service.caller import calling
from execd.service.programs import Programs
from execd.service.sandboxes import Sandboxes
from execd.wire.mcp.calls import Calls
from execd.wire.mcp.server import Serving


class Managers:
    """All of them. They run in `tasks`."""

    def __init__(self, sandboxes: Sandboxes, programs: Programs, calls: Calls, tasks: anyio.abc.TaskGroup) -> None:
        settings = sandboxes.settings
        self._tasks = tasks
        self._server: Server[Any] = Serving(sandboxes, programs, calls).server()
        # Who may call at all is the guard's business, hosts and origins included.
        make = partial(StreamableHTTPSessionManager, self._server, max_request_body_size=settings.max_body)
        self._streaming = make(stateless=True)
        self._as_json = make(stateless=True, json_response=True)
        self._for_sessions = partial(
            make, session_idle_timeout=settings.mcp_session_idle_timeout, max_sessions=settings.mcp_sessions
        )
        self._sessions: dict[str, StreamableHTTPSessionManager] = {}
        self._turn = anyio.Lock()

    async def start(self) -> None:
        """Let those run that serve what is complete in itself."""
        await self._tasks.start(_run, self._streaming)
        await self._tasks.start(_run, self._as_json)

    def by_itself(self, *, as_json: bool) -> StreamableHTTPSessionManager:
        """Who serves what is complete in itself."""
        return self._as_json if as_json else self._streaming

    def having_sessions_of(self, tenant: str) -> StreamableHTTPSessionManager | None:
        """Who has a tenant's sessions, None where there are none."""
        return self._sessions.get(tenant)

    async def for_sessions_of(self, tenant: str) -> StreamableHTTPSessionManager:
        """Who has a tenant's sessions, or will."""
        async with self._turn:
            if tenant not in self._sessions:
                made = self._for_sessions()
                # It lives longer than the request that needs it first, and whoever asks is told by each.
                with calling(None):
                    await self._tasks.start(_run, made)
                self._sessions[tenant] = made
            return self._sessions[tenant]


async def _run(
    manager: StreamableHTTPSessionManager, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    structlog.contextvars.clear_contextvars()
    async with manager.run():
        task_status.started()
        await anyio.sleep_forever()
