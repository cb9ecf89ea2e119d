"""What live tests share: contexts of their own, and a service whose bounds are near."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.live.generations import BASES, Generation
from tests.running_service import RunningService, running_service

NewContext = Callable[[], str]

_NOBODY = 65534


@pytest.fixture
def new_context(client: httpx.Client) -> Iterator[NewContext]:
    """Makes contexts in the shared service; they end with the test."""
    yield from _contexts(client)


@pytest.fixture(params=BASES)
def generation(request: pytest.FixtureRequest, client: httpx.Client) -> Iterator[Generation]:
    """Each generation in turn."""
    found = Generation(client, request.param)
    yield found
    for sandbox_id in found.made:
        client.delete(found.url(sandbox_id))


@pytest.fixture
def context_id(new_context: NewContext) -> str:
    """A context of the test's own, for what changes or ends its kernel."""
    return new_context()


@pytest.fixture(scope="session")
def tight_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service in which every bound is met soon."""
    with running_service(
        tmp_path_factory.mktemp("tight"),
        ping_interval=0.2,
        interrupt_grace=0.2,
        max_contexts=3,
        max_queue=2,
        output_budget=16384,
        output_tail=4096,
        rich_output_budget=65536,
    ) as service:
        yield service


@pytest.fixture
def tight(tight_service: RunningService) -> Iterator[httpx.Client]:
    """A client for the service whose bounds are near. Its contexts end with the test."""
    with tight_service.client() as client:
        yield client
        client.delete("/code/contexts", params={"language": "python"}).raise_for_status()


@pytest.fixture(scope="session")
def unprivileged_service() -> Iterator[RunningService]:
    """A service of a user who is not root."""
    user = _NOBODY if os.geteuid() == 0 else None
    # Not below pytest's folder, which other users may not enter.
    with TemporaryDirectory(dir="/tmp", prefix="unprivileged-") as name:
        if user is not None:
            os.chown(name, user, user)
        with running_service(Path(name), user) as service:
            yield service


@pytest.fixture
def unprivileged(unprivileged_service: RunningService) -> Iterator[httpx.Client]:
    """A client for the service of a user who is not root."""
    with unprivileged_service.client() as client:
        yield client


def _contexts(client: httpx.Client) -> Iterator[NewContext]:
    made: list[str] = []

    def make() -> str:
        answer = client.post("/code/context", json={"language": "python"}).raise_for_status()
        made.append(answer.json()["id"])
        return made[-1]

    yield make
    for context_id in made:
        client.delete(f"/code/contexts/{context_id}")
