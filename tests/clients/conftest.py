"""Interpreters of the public SDKs, connected to the running service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.clients.interpreters import OPENERS, Context, Interpreter
from tests.running_service import RunningService


@pytest.fixture(scope="session")
def domain(service: RunningService) -> str:
    """Where the running service speaks OpenSandbox's lifecycle API."""
    return f"{service.authority}/opensandbox"


@pytest.fixture(params=OPENERS)
def variant(request: pytest.FixtureRequest) -> str:
    """Which of the SDK's variants a test uses: each test runs with both."""
    return str(request.param)


@pytest.fixture
async def interpreter(domain: str, variant: str) -> AsyncIterator[Interpreter]:
    """A checked interpreter in a new sandbox."""
    async with OPENERS[variant](domain) as opened:
        yield opened


@pytest.fixture
async def context(interpreter: Interpreter) -> AsyncIterator[Context]:
    """A new Python context."""
    created = await interpreter.create_context("python")
    assert created.id is not None
    yield created
    await interpreter.delete_context(created.id)
