"""The SDK's sandbox in its two variants, with one face for what a test calls on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from anyio import to_thread
from opensandbox import Sandbox, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.models.execd import ExecutionHandlers
from opensandbox.models.execd_sync import ExecutionHandlersSync

from tests.clients.heard import Heard
from tests.clients.interpreters import IMAGE


class AsyncSandbox:
    """The async variant."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def call(self, service: str, method: str, *given: Any, **named: Any) -> Any:
        """What a method of one of the sandbox's services returns; "sandbox" is itself."""
        held = self._sandbox if service == "sandbox" else getattr(self._sandbox, service)
        return await getattr(held, method)(*given, **named)

    async def info(self) -> Any:
        """`Sandbox.get_info`."""
        return await self._sandbox.get_info()

    def handlers(self, heard: Heard) -> ExecutionHandlers:
        """Handlers that tell `heard`."""
        return heard.handlers()


class SyncSandbox:
    """The sync variant, called in a worker thread."""

    def __init__(self, sandbox: SandboxSync) -> None:
        self._sandbox = sandbox

    async def call(self, service: str, method: str, *given: Any, **named: Any) -> Any:
        """What a method of one of the sandbox's services returns; "sandbox" is itself."""
        held = self._sandbox if service == "sandbox" else getattr(self._sandbox, service)
        return await to_thread.run_sync(partial(getattr(held, method), *given, **named))

    async def info(self) -> Any:
        """`Sandbox.get_info`."""
        return await to_thread.run_sync(self._sandbox.get_info)

    def handlers(self, heard: Heard) -> ExecutionHandlersSync:
        """Handlers that tell `heard`."""
        return heard.handlers_sync()


AnySandbox = AsyncSandbox | SyncSandbox


@asynccontextmanager
async def _open_async(domain: str, by_server: bool = False, **options: Any) -> AsyncIterator[AnySandbox]:
    config = ConnectionConfig(domain=domain, use_server_proxy=by_server)
    sandbox = await Sandbox.create(IMAGE, connection_config=config, **options)
    try:
        yield AsyncSandbox(sandbox)
    finally:
        await sandbox.destroy()


@asynccontextmanager
async def _open_sync(domain: str, by_server: bool = False, **options: Any) -> AsyncIterator[AnySandbox]:
    config = ConnectionConfigSync(domain=domain, use_server_proxy=by_server)
    sandbox = await to_thread.run_sync(partial(SandboxSync.create, IMAGE, connection_config=config, **options))
    try:
        yield SyncSandbox(sandbox)
    finally:
        await to_thread.run_sync(sandbox.destroy)


SANDBOXES: dict[str, Callable[..., AbstractAsyncContextManager[AnySandbox]]] = {
    "async": _open_async,
    "sync": _open_sync,
}
