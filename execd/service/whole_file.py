"""New content for one file, written piece by piece, and in its place all at once or not at all."""

from __future__ import annotations

from pathlib import Path

from execd.errors import DestinationExists
from execd.service.fileinfo import FileInfo
from execd.service.files import info_of
from execd.service.landing import PendingFile, Syncing, sync_folders
from execd.service.ownership import Permission
from execd.service.paths import file_errors, shown


class WholeFile:
    """A file on its way. `write` or `fill`, then `finish`; `abandon` at the end, whatever happened. All of it blocks,
    and raises NotAFile and the other file errors."""

    def __init__(self, path: Path, *, replaces: bool = True) -> None:
        """Folders above are made. Raises DestinationExists when something is there that may not be replaced."""
        if not replaces and path.is_symlink() | path.exists():
            raise DestinationExists(shown(path))
        self._path = path
        self._pending = PendingFile(path, Permission())

    def write(self, content: bytes) -> None:
        """Add to the content."""
        self._pending.write(content)

    def fill(self, source: int, size: int) -> None:
        """Add what another file holds, by its descriptor, from its beginning on."""
        self._pending.fill(source, 0, size)

    def finish(self) -> FileInfo:
        """The content is whole: put it in its place, on the disk. What is there now is returned."""
        syncing = Syncing()
        try:
            self._pending.settle(syncing)
            with file_errors(self._path):
                syncing.finish()
        finally:
            syncing.close()
        self._pending.land()
        sync_folders(self._pending.folders)
        return info_of(self._path)

    def abandon(self) -> None:
        """Leave no trace of content that has not landed. Safe to call twice."""
        self._pending.discard()


def write_file(path: Path, content: bytes) -> FileInfo:
    """Give a file this content. Raises NotAFile and the other file errors."""
    whole = WholeFile(path)
    try:
        whole.write(content)
        return whole.finish()
    finally:
        whole.abandon()
