"""What live tests share: contexts of their own, and a service whose bounds are near."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.running_service import RunningService, running_service

NewContext = Callable[[], str]


@pytest.fixture
def new_context(client: httpx.Client) -> Iterator[NewContext]:
    """Makes contexts in the shared service; they end with the test."""
    yield from _contexts(client)


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


def _contexts(client: httpx.Client) -> Iterator[NewContext]:
    made: list[str] = []

    def make() -> str:
        answer = client.post("/code/context", json={"language": "python"}).raise_for_status()
        made.append(answer.json()["id"])
        return made[-1]

    yield make
    for context_id in made:
        client.delete(f"/code/contexts/{context_id}")
