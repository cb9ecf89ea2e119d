"""Where sandboxes of these tests are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.isolation.walls import SANDBOX_USER


@pytest.fixture
def room(public_folder: Path, service: int | None) -> tuple[Path, Path]:
    """A folder of the service's, and a workspace."""
    workspace = public_folder / "workspace"
    workspace.mkdir(mode=0o700)
    owner = SANDBOX_USER if service is None else service
    os.chown(workspace, owner, owner)
    os.chown(public_folder, service or 0, service or 0)
    return public_folder, workspace
