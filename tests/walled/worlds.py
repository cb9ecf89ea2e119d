"""Every kind of walls, and of service that makes them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.running_service import RunningService, running_service

MIB = 2**20
WORLDS: dict[str, tuple[int | None, dict[str, Any]]] = {
    "bwrap": (None, {"isolation": "bwrap"}),
    "bwrap of a plain user": (65534, {"isolation": "bwrap"}),
    "bwrap in memory": (
        None,
        {"isolation": "bwrap", "sandbox_workspace_size": 20 * MIB, "sandbox_workspace_memory": 64 * MIB},
    ),
    "landlock": (0, {"isolation": "landlock"}),
    "landlock of a plain user": (65534, {"isolation": "landlock"}),
}


@contextmanager
def world_of(kind: str) -> Iterator[RunningService]:
    """A service of this kind. Skips the test where there can be none."""
    user, settings = WORLDS[kind]
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root can start another user's service")
    with tempfile.TemporaryDirectory(prefix="execd-walled-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if user:
            os.chown(folder, user, user)
        with running_service(folder, user, **settings) as running:
            yield running
