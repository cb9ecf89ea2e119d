"""What a sandbox may use, of what it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execd.isolation.plan import Limits
from execd.service.limits import limits_of
from execd.settings import Settings


@pytest.mark.parametrize(
    ("asked", "allowed", "given"),
    [
        (Limits(), 0, None),
        (Limits(), 100, 100),
        (Limits(file_size=50), 100, 50),
        (Limits(file_size=200), 100, 100),
        (Limits(workspace_size=70), 100, 70),
        (Limits(workspace_size=70), 0, 70),
        (Limits(file_size=60, workspace_size=70), 0, 60),
        (Limits(file_size=80, workspace_size=70), 0, 70),
    ],
)
def test_no_file_is_larger_than_all_of_a_workspace(asked: Limits, allowed: int, given: int | None) -> None:
    settings: dict[str, Any] = {"data_dir": Path("/nonexistent"), "sandbox_file_size": allowed}
    assert limits_of(asked, Settings(**settings)).file_size == given
