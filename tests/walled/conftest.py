"""The service that users get: its sandboxes have walls."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.inside import Inside, new_sandbox
from tests.live.conftest import context_id, generation, new_context
from tests.running_service import RunningService

__all__ = ["context_id", "generation", "new_context"]


@pytest.fixture(scope="session")
def service(walled_service: RunningService) -> RunningService:
    """What the fixtures of tests/live are made for."""
    return walled_service


@pytest.fixture
def inside(client: httpx.Client) -> Inside:
    """The sandbox named default."""
    return Inside(client)


@pytest.fixture
def sandbox(client: httpx.Client) -> Iterator[Inside]:
    """A sandbox of the test's own."""
    with new_sandbox(client) as made:
        yield made
