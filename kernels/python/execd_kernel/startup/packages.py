"""Packages: one that was just installed can be imported at once, whoever installed it.

`%pip`, `!pip` and a command next door all end in a change of the folder of packages, which costs an import one look
at the folder. Then the import system forgets what it knew of the disk, and .pth files are read.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from execd_kernel.packages import add_packages, packages_folder


def install(shell: Any) -> None:
    """Watch the folder of packages of the kernel's virtual environment, if it is in one."""
    folder = packages_folder()
    if folder is not None and str(folder) in sys.path:
        sys.meta_path.insert(0, PackagesWatch(folder, shell.log))


class PackagesWatch(MetaPathFinder):
    """A finder that finds nothing itself, and lets the others look anew when the folder has changed."""

    def __init__(self, folder: Path, log: Any) -> None:
        self._folder = folder
        self._log = log
        self._seen = self._changed()

    def find_spec(
        self,
        fullname: str,  # noqa: ARG002
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """None, always; and before that what a change of the folder asks for."""
        changed = self._changed()
        if changed != self._seen:
            self._seen = changed
            importlib.invalidate_caches()
            self._read()
        return None

    def _changed(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except OSError:
            return 0

    def _read(self) -> None:
        try:
            add_packages(self._folder)
        except Exception:  # noqa: BLE001 - whatever a .pth file runs; the import goes on
            self._log.exception("Reading the .pth files in %s failed", self._folder)
