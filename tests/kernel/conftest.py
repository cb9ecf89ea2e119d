"""Fixtures for tests of what runs code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from execd.isolation.launch import Launcher
from tests.kernel.bash_session import Session, bash_session


@pytest.fixture
async def session(launcher: Launcher, tmp_path: Path) -> AsyncIterator[Session]:
    """A bash session in the test's folder."""
    async with bash_session(launcher, tmp_path) as opened:
        yield opened
