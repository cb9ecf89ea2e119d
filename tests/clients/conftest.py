"""Interpreters of the public SDKs, connected to the running service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import PurePosixPath

import httpx
import pytest

from tests.clients.interpreters import OPENERS, Context, Interpreter
from tests.inside import Inside
from tests.running_service import RunningService


@pytest.fixture(scope="session")
def service(walled_service: RunningService) -> RunningService:
    """The service that clients talk to has walls, as that of users has."""
    return walled_service


@pytest.fixture
def inside(client: httpx.Client) -> Inside:
    """The sandbox named default, looked at from inside."""
    return Inside(client)


@pytest.fixture
def folder(inside: Inside) -> Iterator[PurePosixPath]:
    """A folder in the workspace of that sandbox."""
    with inside.new_folder() as path:
        yield PurePosixPath(path)


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
