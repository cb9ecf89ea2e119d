"""The sandbox that the SDK's code interpreter sits in, as far as execd has a part in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from opensandbox import Sandbox, SandboxSync
from opensandbox.config import ConnectionConfig
from opensandbox.config.connection_sync import ConnectionConfigSync
from opensandbox.exceptions import SandboxApiException

from tests.clients.interpreters import IMAGE


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
    assert (await found.get_info()).status.state == "Terminated"
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
    assert found.get_info().status.state == "Terminated"
    found.close()


async def test_a_sandbox_that_is_not_there_cannot_be_connected_to(domain: str) -> None:
    with pytest.raises(SandboxApiException) as caught:
        await Sandbox.connect("nobody", connection_config=ConnectionConfig(domain=domain))
    assert (caught.value.status_code, caught.value.error.code) == (404, "DOCKER::SANDBOX_NOT_FOUND")
