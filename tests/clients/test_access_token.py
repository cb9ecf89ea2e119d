"""A service that wants a token, and the SDKs, which send what the lifecycle server says an endpoint needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from opensandbox.exceptions import SandboxApiException, SandboxReadyTimeoutException

from tests.clients.interpreters import OPENERS
from tests.clients.lifecycle_double import LifecycleDouble
from tests.clients.served import served
from tests.running_service import running_service

HEADER = "X-EXECD-ACCESS-TOKEN"
TOKEN = "only for those who know it"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port at which a service answers that wants the token."""
    with running_service(tmp_path_factory.mktemp("guarded"), access_token=TOKEN) as service:
        yield service.authority


async def test_the_endpoint_s_token_goes_with_every_call(guarded: str, variant: str) -> None:
    with served(LifecycleDouble(guarded, {HEADER: TOKEN}).app()) as domain:
        async with OPENERS[variant](domain) as interpreter:
            context = await interpreter.create_context("python")
            assert (await interpreter.run("6 * 7", context=context)).text == "42"
            assert await interpreter.list_contexts("python") == [context]
            assert context.id is not None
            await interpreter.interrupt(context.id)
            await interpreter.delete_context(context.id)


async def test_the_check_of_the_sdk_fails_without_the_token(guarded: str, variant: str) -> None:
    with served(LifecycleDouble(guarded).app()) as domain, pytest.raises(SandboxReadyTimeoutException):
        async with OPENERS[variant](domain, ready_timeout=timedelta(milliseconds=1)):
            pytest.fail("it was opened")


@pytest.mark.parametrize("headers", [{}, {HEADER: "a guess"}], ids=["none", "wrong"])
async def test_without_the_token_every_call_is_refused(guarded: str, variant: str, headers: dict[str, str]) -> None:
    with served(LifecycleDouble(guarded, headers).app()) as domain:
        async with OPENERS[variant](domain, skip_health_check=True) as interpreter:
            for call in (interpreter.run("6 * 7"), interpreter.list_contexts("python"), interpreter.interrupt("any")):
                with pytest.raises(SandboxApiException, match=f"invalid or missing header {HEADER}") as caught:
                    await call
                assert caught.value.status_code == 401
