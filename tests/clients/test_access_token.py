"""A service that wants a token, and the SDKs, for which it is the API key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opensandbox import Sandbox
from opensandbox.config import ConnectionConfig
from opensandbox.exceptions import SandboxApiException

from tests.clients.interpreters import IMAGE, OPENERS
from tests.clients.sandboxes import SANDBOXES
from tests.running_service import running_service

TOKEN = "only for those who know it"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service answers that wants the token."""
    with running_service(tmp_path_factory.mktemp("guarded"), access_token=TOKEN) as service:
        yield f"{service.authority}/opensandbox"


async def test_the_endpoint_s_token_goes_with_every_call(guarded: str, variant: str) -> None:
    async with OPENERS[variant](guarded, api_key=TOKEN) as interpreter:
        context = await interpreter.create_context("python")
        assert (await interpreter.run("6 * 7", context=context)).text == "42"
        assert await interpreter.list_contexts("python") == [context]
        assert context.id is not None
        await interpreter.interrupt(context.id)
        await interpreter.delete_context(context.id)


async def test_by_way_of_the_server_the_api_key_opens_execd(
    guarded: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPEN_SANDBOX_API_KEY", TOKEN)
    async with SANDBOXES[variant](guarded, by_server=True) as sandbox:
        assert (await sandbox.call("commands", "run", "echo in")).logs.stdout[0].text == "in"


@pytest.mark.parametrize(("key", "code"), [(None, "MISSING_API_KEY"), ("a guess", "INVALID_API_KEY")])
async def test_without_the_token_nothing_is_made(guarded: str, key: str | None, code: str) -> None:
    with pytest.raises(SandboxApiException, match=code) as caught:
        await Sandbox.create(IMAGE, connection_config=ConnectionConfig(domain=guarded, api_key=key))
    assert caught.value.status_code == 401
