"""The SDK's file service in its two variants, with one face, so that every test holds for both.

Each is connected to the running service itself: its endpoint is all that the file service needs. The sync one is
called in a worker thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from anyio import to_thread
from opensandbox.adapters.filesystem_adapter import FilesystemAdapter
from opensandbox.adapters.isolated_adapter import IsolatedSessionsAdapter
from opensandbox.adapters.metrics_adapter import MetricsAdapter
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.models.sandboxes import SandboxEndpoint
from opensandbox.sync.adapters.filesystem_adapter import FilesystemAdapterSync
from opensandbox.sync.adapters.isolated_adapter import IsolatedSessionsAdapterSync
from opensandbox.sync.adapters.metrics_adapter import MetricsAdapterSync

Call = Callable[..., Awaitable[Any]]


class Machine:
    """What a client can ask of a sandbox's machine: `files`, as another user (`files_as`), metrics, capabilities.

    `files("write_file", …)` calls that method, whichever the variant.
    """

    def __init__(self, files: Any, metrics: Any, isolated: Any, call: Callable[[Any, str], Call]) -> None:
        self._files = files
        self._call = call
        self.get_metrics = call(metrics, "get_metrics")
        self.capabilities = call(isolated, "capabilities")
        self.list_isolated = call(isolated, "list")

    async def files(self, method: str, *args: Any, **options: Any) -> Any:
        """Call a method of the file service."""
        return await self._call(self._files, method)(*args, **options)

    def files_as(self, uid: int, gid: int) -> Callable[..., Awaitable[Any]]:
        """The same, as another user."""
        other = self._files.with_identity(uid, gid)
        return lambda method, *args, **options: self._call(other, method)(*args, **options)


def _in_place(service: Any, method: str) -> Call:
    bound: Call = getattr(service, method)
    return bound


def _in_thread(service: Any, method: str) -> Call:
    async def call(*args: Any, **options: Any) -> Any:
        return await to_thread.run_sync(partial(getattr(service, method), *args, **options))

    return call


@asynccontextmanager
async def open_async(authority: str, proxied: bool = False) -> AsyncIterator[Machine]:
    """The async variant. `proxied`: as it sends uploads through a lifecycle server."""
    config = ConnectionConfig(domain=authority, use_server_proxy=proxied).with_transport_if_missing()
    endpoint = SandboxEndpoint(endpoint=authority)
    try:
        yield Machine(
            FilesystemAdapter(config, endpoint),
            MetricsAdapter(config, endpoint),
            IsolatedSessionsAdapter(config, endpoint),
            _in_place,
        )
    finally:
        await config.close_transport_if_owned()


@asynccontextmanager
async def open_sync(authority: str, proxied: bool = False) -> AsyncIterator[Machine]:
    """The sync variant."""
    config = ConnectionConfigSync(domain=authority, use_server_proxy=proxied).with_transport_if_missing()
    endpoint = SandboxEndpoint(endpoint=authority)
    try:
        yield Machine(
            FilesystemAdapterSync(config, endpoint),
            MetricsAdapterSync(config, endpoint),
            IsolatedSessionsAdapterSync(config, endpoint),
            _in_thread,
        )
    finally:
        config.close_transport_if_owned()


OPENERS: dict[str, Callable[..., AbstractAsyncContextManager[Machine]]] = {"async": open_async, "sync": open_sync}
