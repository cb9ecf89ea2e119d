"""What in a workspace is nobody's work."""

from __future__ import annotations

import pytest

from execd.service.landing import TEMPORARY_PREFIX
from execd.service.left_out import file_left_out, folder_left_out


@pytest.mark.parametrize(
    "name",
    [
        ".nullspace",
        ".ipynb_checkpoints",
        "__pycache__",
        ".git",
        "node_modules",
        ".venv",
        "venv",
        ".cache",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".Cache-of-mine",
        ".ipython",
        ".local",
    ],
)
def test_engine_folders_and_hidden_caches_are_left_out(name: str) -> None:
    assert folder_left_out(name)


@pytest.mark.parametrize("name", ["data", "cache", "git", ".github", "node_modules2", "build", "out.git", ".hidden"])
def test_other_folders_are_not(name: str) -> None:
    assert not folder_left_out(name)


@pytest.mark.parametrize(
    "name",
    f"a.pyc .a.txt.swp .~lock.a.odt# .nfs0001 a.txt~ .DS_Store .bash_history pyvenv.cfg {TEMPORARY_PREFIX}abc".split(),
)
def test_what_tools_leave_is_left_out(name: str) -> None:
    assert file_left_out(name)


@pytest.mark.parametrize(
    "name", ["a.py", ".env", ".gitignore", "swp", "a.swp.txt", "a~b", "new\nline", "pyvenv.cfg.md"]
)
def test_other_files_are_not(name: str) -> None:
    assert not file_left_out(name)
