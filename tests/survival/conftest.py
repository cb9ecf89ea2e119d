"""Services that are ended and come back."""

from __future__ import annotations

from collections.abc import Iterator
from signal import SIGKILL, SIGTERM, Signals

import pytest

from tests.survival.lives import KINDS, PROCESS, Lives, lives_of


@pytest.fixture(params=KINDS, ids=str)
def everywhere(request: pytest.FixtureRequest) -> Iterator[Lives]:
    """Services of each kind."""
    with lives_of(request.param) as lives:
        yield lives


@pytest.fixture
def lives() -> Iterator[Lives]:
    """Services without walls."""
    with lives_of(PROCESS) as made:
        yield made


@pytest.fixture(params=[SIGTERM, SIGKILL], ids=lambda signum: signum.name)
def signum(request: pytest.FixtureRequest) -> Signals:
    """How a service is ended that another one is to follow."""
    ended_by: Signals = request.param
    return ended_by
