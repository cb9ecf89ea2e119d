"""The SDK's calls for bash sessions in its two variants, with one face, so that every test holds for both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Protocol

from anyio import to_thread
from opensandbox import Sandbox, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.models.execd import Execution

from tests.clients.heard import Heard
from tests.clients.interpreters import IMAGE


class Sessions(Protocol):
    """What both variants can do."""

    async def create(self, folder: str | None = None) -> str:
        """`commands.create_session`."""

    async def run(
        self,
        session_id: str,
        command: str,
        *,
        folder: str | None = None,
        timeout: timedelta | None = None,
        heard: Heard | None = None,
    ) -> Execution:
        """`commands.run_in_session`, its handlers being those of `heard`."""

    async def interrupt(self, session_id: str) -> None:
        """`commands.interrupt`."""

    async def delete(self, session_id: str) -> None:
        """`commands.delete_session`."""


class AsyncSessions:
    """The async variant."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._commands = sandbox.commands
        self.interrupt = self._commands.interrupt
        self.delete = self._commands.delete_session

    async def create(self, folder: str | None = None) -> str:
        return await self._commands.create_session(working_directory=folder)

    async def run(
        self,
        session_id: str,
        command: str,
        *,
        folder: str | None = None,
        timeout: timedelta | None = None,
        heard: Heard | None = None,
    ) -> Execution:
        handlers = heard.handlers() if heard else None
        return await self._commands.run_in_session(
            session_id, command, working_directory=folder, timeout=timeout, handlers=handlers
        )


class SyncSessions:
    """The sync variant."""

    def __init__(self, sandbox: SandboxSync) -> None:
        self._commands = sandbox.commands

    async def create(self, folder: str | None = None) -> str:
        return await to_thread.run_sync(partial(self._commands.create_session, working_directory=folder))

    async def run(
        self,
        session_id: str,
        command: str,
        *,
        folder: str | None = None,
        timeout: timedelta | None = None,
        heard: Heard | None = None,
    ) -> Execution:
        handlers = heard.handlers_sync() if heard else None
        run = partial(self._commands.run_in_session, session_id, command, working_directory=folder)
        return await to_thread.run_sync(partial(run, timeout=timeout, handlers=handlers))

    async def interrupt(self, session_id: str) -> None:
        await to_thread.run_sync(self._commands.interrupt, session_id)

    async def delete(self, session_id: str) -> None:
        await to_thread.run_sync(self._commands.delete_session, session_id)


@asynccontextmanager
async def open_async(domain: str) -> AsyncIterator[Sessions]:
    """The async variant in a sandbox of its own."""
    sandbox = await Sandbox.create(IMAGE, connection_config=ConnectionConfig(domain=domain))
    try:
        yield AsyncSessions(sandbox)
    finally:
        await sandbox.destroy()


@asynccontextmanager
async def open_sync(domain: str) -> AsyncIterator[Sessions]:
    """The same, sync."""
    config = ConnectionConfigSync(domain=domain)
    sandbox = await to_thread.run_sync(partial(SandboxSync.create, IMAGE, connection_config=config))
    try:
        yield SyncSessions(sandbox)
    finally:
        await to_thread.run_sync(sandbox.destroy)


OPENERS: dict[str, Callable[[str], AbstractAsyncContextManager[Sessions]]] = {"async": open_async, "sync": open_sync}
