"""Fixtures that every folder of tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.running_service import RunningService, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service with the default settings for all tests of a process that need no other."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx.Client]:
    """An HTTP client for the shared service."""
    with service.client() as connected:
        yield connected


@pytest.fixture
def anyio_backend() -> str:
    """execd runs on asyncio."""
    return "asyncio"
