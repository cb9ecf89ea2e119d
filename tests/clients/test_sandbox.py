"""Sandboxes as the SDK has them: made, found again, given time, ended, directly and by way of the server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opensandbox import Sandbox, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.exceptions import SandboxApiException

from tests.clients.interpreters import IMAGE
from tests.clients.sandboxes import SANDBOXES

BOTH_WAYS = pytest.mark.parametrize("by_server", [False, True], ids=["direct", "by_server"])


async def test_an_async_sandbox_is_found_again_renewed_and_ended(domain: str) -> None:
    config = ConnectionConfig(domain=domain)
    made = await Sandbox.create(IMAGE, connection_config=config)
    found = await Sandbox.connect(made.id, connection_config=config)
    assert await found.is_healthy()
    renewed = await found.renew(timedelta(hours=2))
    info = await made.get_info()
    assert (info.id, info.status.state, info.expires_at) == (made.id, "Running", renewed.expires_at)
    assert renewed.expires_at > datetime.now(UTC) + timedelta(hours=1)
    await made.destroy()
    assert not await found.is_healthy()
    with pytest.raises(SandboxApiException, match="SANDBOX_NOT_FOUND"):
        await found.get_info()
    await found.close()


def test_a_sync_sandbox_is_found_again_renewed_and_ended(domain: str) -> None:
    config = ConnectionConfigSync(domain=domain)
    made = SandboxSync.create(IMAGE, connection_config=config)
    found = SandboxSync.connect(made.id, connection_config=config)
    assert found.is_healthy()
    renewed = found.renew(timedelta(hours=2))
    info = made.get_info()
    assert (info.id, info.status.state, info.expires_at) == (made.id, "Running", renewed.expires_at)
    assert renewed.expires_at > datetime.now(UTC) + timedelta(hours=1)
    made.destroy()
    assert not found.is_healthy()
    with pytest.raises(SandboxApiException, match="SANDBOX_NOT_FOUND"):
        found.get_info()
    found.close()


async def test_a_sandbox_that_is_not_there_cannot_be_connected_to(domain: str) -> None:
    with pytest.raises(SandboxApiException) as caught:
        await Sandbox.connect("nobody", connection_config=ConnectionConfig(domain=domain))
    assert (caught.value.status_code, caught.value.error.code) == (404, "DOCKER::SANDBOX_NOT_FOUND")


@BOTH_WAYS
async def test_what_a_sandbox_is_made_with(domain: str, variant: str, by_server: bool) -> None:
    options = {"env": {"GREETING": "hello"}, "metadata": {"team": "tea"}, "timeout": timedelta(minutes=3)}
    async with SANDBOXES[variant](domain, by_server, **options) as sandbox:
        done = await sandbox.call("commands", "run", "echo $GREETING; pwd; echo K=v >>$EXECD_ENVS")
        greeting, folder = [line.text for line in done.logs.stdout]
        assert greeting == "hello"
        info = await sandbox.info()
        assert (info.metadata, info.image.image) == ({"team": "tea"}, IMAGE)
        assert timedelta(minutes=2) < info.expires_at - info.created_at <= timedelta(minutes=3)
        assert info.id in folder
        await sandbox.call("files", "write_file", "note.txt", "kept")
        assert Path(folder, "note.txt").read_text() == "kept"
        metrics = await sandbox.call("metrics", "get_metrics", info.id)
        assert metrics.cpu_count > 0
    assert not Path(folder).exists()


@BOTH_WAYS
async def test_two_sandboxes_have_nothing_in_common(domain: str, variant: str, by_server: bool) -> None:
    async with SANDBOXES[variant](domain, by_server) as one, SANDBOXES[variant](domain, by_server) as other:
        await one.call("commands", "run", "echo mine >file; echo K=v >>$EXECD_ENVS")
        assert (await other.call("commands", "run", "ls; echo $K")).logs.stdout[0].text == "\n"
        command = await one.call("commands", "run", "true")
        with pytest.raises(SandboxApiException):
            await other.call("commands", "get_command_status", command.id)


async def test_a_sandbox_without_an_end(domain: str) -> None:
    sandbox = await Sandbox.create(IMAGE, connection_config=ConnectionConfig(domain=domain), timeout=None)
    assert (await sandbox.get_info()).expires_at is None
    await sandbox.destroy()


def test_what_cannot_be_had_is_refused(domain: str) -> None:
    config = ConnectionConfigSync(domain=domain)
    made = SandboxSync.create(IMAGE, connection_config=config)
    refused: list[tuple[Callable[[], object], int]] = [
        (made.pause, 501),
        (lambda: SandboxSync.create(snapshot_id="snap_1", connection_config=config), 501),
    ]
    for call, status in refused:
        with pytest.raises(SandboxApiException) as caught:
            call()
        assert caught.value.status_code == status
    made.destroy()
