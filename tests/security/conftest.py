"""One house of each kind for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.security.houses import KINDS, House, Kind, Sandbox, house

_SETTINGS = {
    "sandbox_tmp_size": 16 * 2**20,
    "sandbox_file_size": 64 * 2**20,
    "sandbox_processes": 256,
    "sandbox_open_files": 4096,
    "max_sandboxes": 1000,
    "kernel_start_timeout": 20,
}
"""Limits that are met soon."""


@pytest.fixture(scope="session")
def house_of() -> Iterator[Callable[[Kind], House]]:
    """The house of a kind, which is made when it is first asked for."""
    made: dict[Kind, House] = {}
    with ExitStack() as stack:

        def find(kind: Kind) -> House:
            if kind not in made:
                made[kind] = stack.enter_context(house(kind, **_SETTINGS))
            return made[kind]

        yield find


@pytest.fixture(params=KINDS, ids=str)
def walled(request: pytest.FixtureRequest, house_of: Callable[[Kind], House]) -> House:
    """A house of each kind in turn."""
    return house_of(request.param)


@pytest.fixture
def sandbox(walled: House) -> Iterator[Sandbox]:
    """A sandbox of the test's own."""
    made = walled.new_sandbox()
    yield made
    walled.client.delete(f"/v1/sandboxes/{made.id}")
