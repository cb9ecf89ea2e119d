"""Services whose sandboxes have walls: root's, and a plain user's."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.inside import Inside, new_sandbox
from tests.live.conftest import context_id, generation, new_context
from tests.running_service import RunningService
from tests.walled.sandbox import walls_possible

__all__ = ["context_id", "generation", "new_context"]


@pytest.fixture(scope="session")
def service(walled_service: RunningService) -> RunningService:
    """The one that tests share, which the fixtures of tests/live are made for."""
    return walled_service


@pytest.fixture
def tight(client: httpx.Client) -> httpx.Client:
    """Where tests of tests/live want a service whose interrupts escalate soon: this one takes its time."""
    return client


@pytest.fixture
def inside(client: httpx.Client) -> Inside:
    """The sandbox named default of that service."""
    return Inside(client)


@pytest.fixture
def sandbox(client: httpx.Client) -> Iterator[Inside]:
    """A sandbox of the test's own in it."""
    with new_sandbox(client) as made:
        yield made


@pytest.fixture(autouse=True, scope="session")
def _possible() -> None:
    if not walls_possible():
        pytest.skip("this machine lets us make no walls")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder that every user may enter, with a short path."""
    with tempfile.TemporaryDirectory(prefix="execd-walled-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
