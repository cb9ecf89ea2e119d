"""What in a workspace is nobody's work: the engine's own folders, what tools keep for themselves, caches. Pure."""

from __future__ import annotations

import re

from execd.service.landing import TEMPORARY_PREFIX

VENV_MARK = "pyvenv.cfg"
"""A folder that holds a file of this name is a virtual environment (PEP 405), whatever it is called."""

_FOLDERS = frozenset(
    {
        ".nullspace",
        ".ipynb_checkpoints",
        ".ipython",
        ".jupyter",
        ".virtual_documents",
        ".execd",
        "__pycache__",
        ".venv",
        "venv",
        "site-packages",
        ".tox",
        ".nox",
        ".eggs",
        ".hypothesis",
        ".git",
        ".hg",
        ".svn",
        ".jj",
        "node_modules",
        ".npm",
        ".yarn",
        ".pnpm-store",
        ".bun",
        ".cargo",
        ".rustup",
        ".gradle",
        ".m2",
        ".ivy2",
        ".config",
        ".local",
        ".keras",
        ".nv",
        ".gnupg",
        ".ssh",
        ".Trash",
    }
)
_FILES = re.compile(
    r"\.DS_Store|\.coverage|\.(bash|python|node_repl)_history|\.execd-envs"
    rf"|{re.escape(VENV_MARK)}|{re.escape(TEMPORARY_PREFIX)}.*|.*\.pyc|\..*\.sw[a-z]|\.~lock\..*#|\.nfs.*|.*~",
    re.DOTALL,
)


def folder_left_out(name: str) -> bool:
    """Whether a folder of this name is left out, with all that is in it. Hidden caches are: `.cache`, `.mypy_cache`."""
    return name in _FOLDERS or (name.startswith(".") and "cache" in name.lower())


def file_left_out(name: str) -> bool:
    """Whether a file of this name is left out, wherever it is. Being hidden alone is no reason."""
    return _FILES.fullmatch(name) is not None
