"""Where a sandbox's code and commands run: folders below its workspace, or anywhere else in it."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from execd.errors import InvalidRequest, WorkingFolderUnusable
from execd.isolation.root import Root

_NONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder, as the sandbox sees it, that relative ones are below."""

    root: Root
    path: Path

    def usable(self, cwd: str | None) -> Path:
        """The folder that something starts in, made when it is missing. Raises WorkingFolderUnusable."""
        path = self.path if not cwd else self.path / cwd
        try:
            self.root.make_folder(path)
            self.root.check_enterable(path)
        except (OSError, ValueError) as error:
            raise WorkingFolderUnusable(str(cwd), getattr(error, "strerror", None) or str(error)) from error
        return path


def check_folder(root: Root, folder: Path, field: str) -> None:
    """Raise InvalidRequest unless there is such a folder."""
    try:
        with root.target(folder) as found:
            if stat.S_ISDIR(os.fstat(found).st_mode):
                return
        what = "it is no folder"
    except OSError as error:
        what = "there is none" if error.errno in _NONE else f"nothing can be found: {error.strerror}"
    raise InvalidRequest(f"expected a folder that exists, at {str(folder)!r:.200} {what}", field)
