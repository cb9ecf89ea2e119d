"""Many sandboxes at once: the SDK's manager and its pools."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from anyio import to_thread
from opensandbox import (
    AsyncSandboxPool,
    InMemoryAsyncPoolStateStore,
    InMemoryPoolStateStore,
    Sandbox,
    SandboxManager,
    SandboxManagerSync,
    SandboxPool,
    SandboxSync,
)
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.sandboxes import SandboxFilter
from opensandbox.pool_types import PoolCreationSpec

from tests.clients.interpreters import IMAGE


@pytest.fixture
def mark() -> dict[str, str]:
    """Metadata by which a test knows its own sandboxes."""
    return {"test": f"{uuid.uuid4()} & more=%"}


async def test_the_async_manager(domain: str, mark: dict[str, str]) -> None:
    config = ConnectionConfig(domain=domain)
    made = [
        await Sandbox.create(IMAGE, connection_config=config, metadata={**mark, "number": str(number)})
        for number in range(3)
    ]
    async with await SandboxManager.create(connection_config=config) as manager:
        first = await manager.list_sandbox_infos(SandboxFilter(metadata=mark, page_size=2))
        assert [info.id for info in first.sandbox_infos] == [made[2].id, made[1].id]
        assert (first.pagination.total_items, first.pagination.has_next_page) == (3, True)
        second = await manager.list_sandbox_infos(SandboxFilter(metadata=mark, page_size=2, page=2))
        assert [info.id for info in second.sandbox_infos] == [made[0].id]
        paused = await manager.list_sandbox_infos(SandboxFilter(metadata=mark, states=["Paused"]))
        assert paused.sandbox_infos == []
        changed = await manager.patch_sandbox_metadata(made[0].id, {"number": None, "new": "x"})
        assert changed.metadata == {**mark, "new": "x"}
        await manager.renew_sandbox(made[0].id, timedelta(hours=1))
        for sandbox in made:
            await manager.kill_sandbox(sandbox.id)
        with pytest.raises(SandboxApiException, match="SANDBOX_NOT_FOUND"):
            await manager.get_sandbox_info(made[0].id)
    for sandbox in made:
        await sandbox.close()


def test_the_sync_manager(domain: str, mark: dict[str, str]) -> None:
    config = ConnectionConfigSync(domain=domain)
    made = SandboxSync.create(IMAGE, connection_config=config, metadata=mark)
    with SandboxManagerSync.create(connection_config=config) as manager:
        found = manager.list_sandbox_infos(SandboxFilter(metadata=mark, states=["RUNNING"]))
        assert [info.id for info in found.sandbox_infos] == [made.id]
        assert manager.get_sandbox_info(made.id).metadata == mark
        manager.kill_sandbox(made.id)
        assert manager.list_sandbox_infos(SandboxFilter(metadata=mark)).sandbox_infos == []
    made.close()


async def test_the_async_pool(domain: str, mark: dict[str, str]) -> None:
    config = ConnectionConfig(domain=domain)
    pool = AsyncSandboxPool(
        pool_name="async",
        max_idle=1,
        state_store=InMemoryAsyncPoolStateStore(),
        connection_config=config,
        creation_spec=PoolCreationSpec(image=IMAGE, metadata=mark),
    )
    async with pool:
        sandbox = await pool.acquire(timedelta(minutes=5))
        assert (await sandbox.commands.run("echo $((6 * 7))")).logs.stdout[0].text == "42"
        await sandbox.destroy()
        await pool.resize(0)
        await pool.release_all_idle()
    await nothing_left(config, mark)


async def test_the_sync_pool(domain: str, mark: dict[str, str]) -> None:
    await to_thread.run_sync(use_sync_pool, domain, mark)
    await nothing_left(ConnectionConfig(domain=domain), mark)


def use_sync_pool(domain: str, mark: dict[str, str]) -> None:
    """Take a sandbox out of a pool, and end both."""
    pool = SandboxPool(
        pool_name="sync",
        max_idle=1,
        state_store=InMemoryPoolStateStore(),
        connection_config=ConnectionConfigSync(domain=domain),
        creation_spec=PoolCreationSpec(image=IMAGE, metadata=mark),
    )
    pool.start()
    try:
        sandbox = pool.acquire(timedelta(minutes=5))
        assert sandbox.commands.run("echo $((6 * 7))").logs.stdout[0].text == "42"
        sandbox.destroy()
        pool.resize(0)
        pool.release_all_idle()
    finally:
        pool.shutdown()


async def nothing_left(config: ConnectionConfig, mark: dict[str, str]) -> None:
    """What a pool has made is gone; its last creation may still be under way when it says that it has ended."""
    async with await SandboxManager.create(connection_config=config) as manager:
        left = (await manager.list_sandbox_infos(SandboxFilter(metadata=mark))).sandbox_infos
        for info in left:
            await manager.kill_sandbox(info.id)
        assert len(left) <= 1
