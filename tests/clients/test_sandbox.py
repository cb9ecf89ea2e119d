"""Sandboxes as the SDK has them: made, found again, given time, ended, directly and by way of the server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from opensandbox import Sandbox, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.exceptions import SandboxApiException
from opensandbox.models.execd import RunCommandOpts
from opensandbox.models.sandboxes import PVC, NetworkPolicy, NetworkRule, Volume

from tests.clients.interpreters import IMAGE
from tests.clients.sandboxes import SANDBOXES
from tests.inside import Inside

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
async def test_what_a_sandbox_is_made_with(domain: str, variant: str, by_server: bool, client: httpx.Client) -> None:
    options = {"env": {"GREETING": "hello"}, "metadata": {"team": "tea"}, "timeout": timedelta(minutes=3)}
    async with SANDBOXES[variant](domain, by_server, **options) as sandbox:
        done = await sandbox.call("commands", "run", "echo $GREETING; pwd; echo K=v >>$EXECD_ENVS")
        greeting, folder = [line.text for line in done.logs.stdout]
        assert greeting == "hello"
        info = await sandbox.info()
        assert (info.metadata, info.image.image) == ({"team": "tea"}, IMAGE)
        assert timedelta(minutes=2) < info.expires_at - info.created_at <= timedelta(minutes=3)
        assert folder == "/workspace"
        await sandbox.call("files", "write_file", "note.txt", "kept")
        assert Inside(client, info.id).read("/workspace/note.txt") == b"kept"
        metrics = await sandbox.call("metrics", "get_metrics", info.id)
        assert metrics.cpu_count > 0
    config = ConnectionConfig(domain=domain)
    with pytest.raises(SandboxApiException, match="SANDBOX_NOT_FOUND"):
        await Sandbox.connect(info.id, connection_config=config)


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


async def test_a_paused_sandbox_stands_still(domain: str, client: httpx.Client) -> None:
    config = ConnectionConfig(domain=domain)
    made = await Sandbox.create(IMAGE, connection_config=config)
    inside = Inside(client, made.id)
    await made.commands.run("while :; do echo >>ticks; sleep 0.01; done", opts=RunCommandOpts(background=True))
    await made.commands.run("until [ -s ticks ]; do sleep 0.01; done")
    await made.pause()
    assert (await made.get_info()).status.state == "Paused"
    assert not await made.is_healthy()
    with pytest.raises(SandboxApiException, match="paused") as caught:
        await made.commands.run("true")
    assert caught.value.status_code == 409
    resumed = await Sandbox.resume(made.id, connection_config=config)
    assert (await resumed.get_info()).status.state == "Running"
    ticks = inside.out("wc -c <ticks")
    assert inside.ok(f"until [ $(wc -c <ticks) -gt {ticks} ]; do sleep 0.01; done")
    await resumed.destroy()
    await made.close()


def test_a_sync_sandbox_is_paused_and_resumed(domain: str) -> None:
    config = ConnectionConfigSync(domain=domain)
    made = SandboxSync.create(IMAGE, connection_config=config)
    made.pause()
    assert made.get_info().status.state == "Paused"
    resumed = SandboxSync.resume(made.id, connection_config=config)
    assert resumed.commands.run("echo on").logs.stdout[0].text == "on"
    resumed.destroy()
    made.close()


async def test_what_a_sandbox_may_reach_is_told(domain: str) -> None:
    config = ConnectionConfig(domain=domain)
    made = await Sandbox.create(IMAGE, connection_config=config, network_policy=NetworkPolicy(default_action="deny"))
    policy = await made.get_egress_policy()
    assert (policy.default_action, policy.egress) == ("deny", [])
    with pytest.raises(SandboxApiException, match="make one that has proxy"):
        await made.patch_egress_rules([NetworkRule(action="allow", target="example.com")])
    await made.destroy()


async def test_a_volume_outlives_its_sandboxes(domain: str) -> None:
    config = ConnectionConfig(domain=domain)
    cache = Volume(name="cache", pvc=PVC(claim_name="cache"), mount_path="/mnt/cache")
    writer = await Sandbox.create(IMAGE, connection_config=config, volumes=[cache])
    assert (await writer.commands.run("echo kept >/mnt/cache/file")).exit_code == 0
    await writer.destroy()
    kept = cache.model_copy(update={"read_only": True})
    reader = await Sandbox.create(IMAGE, connection_config=config, volumes=[kept])
    assert (await reader.commands.run("cat /mnt/cache/file")).logs.stdout[0].text == "kept"
    assert (await reader.commands.run("echo more >>/mnt/cache/file")).exit_code != 0
    await reader.destroy()


def test_what_cannot_be_had_is_refused(domain: str) -> None:
    config = ConnectionConfigSync(domain=domain)
    made = SandboxSync.create(IMAGE, connection_config=config)
    refused: list[tuple[Callable[[], object], int]] = [
        (lambda: SandboxSync.create(snapshot_id="snap_1", connection_config=config), 501),
    ]
    for call, status in refused:
        with pytest.raises(SandboxApiException) as caught:
            call()
        assert caught.value.status_code == status
    made.destroy()
