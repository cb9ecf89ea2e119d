"""New content for one file, written piece by piece, and in its place all at once or not at all."""

from __future__ import annotations

from pathlib import PurePath

from execd.errors import DestinationExists
from execd.isolation.root import Root
from execd.isolation.shown import shown
from execd.service.fileinfo import FileInfo
from execd.service.files import info_of
from execd.service.landing import PendingFile, Syncing, sync_folders
from execd.service.ownership import Permission
from execd.service.paths import file_errors


class WholeFile:
    """A file on its way. `write` or `fill`, then `finish`; `abandon` at the end, whatever happened. All of it blocks,
    and raises NotAFile and the other file errors."""

    def __init__(self, root: Root, path: PurePath, *, replaces: bool = True) -> None:
        """Folders above are made. Raises DestinationExists when something is there that may not be replaced."""
        with file_errors(path):
            if not replaces and root.is_there(path):
                raise DestinationExists(shown(path))
        self._root = root
        self._path = path
        self._pending = PendingFile(root, path, Permission())

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
        sync_folders(self._root, self._pending.folders)
        return info_of(self._root, self._path)

    def abandon(self) -> None:
        """Leave no trace of content that has not landed. Safe to call twice."""
        self._pending.discard()


def write_file(root: Root, path: PurePath, content: bytes) -> FileInfo:
    """Give a file this content. Raises NotAFile and the other file errors."""
    whole = WholeFile(root, path)
    try:
        whole.write(content)
        return whole.finish()
    finally:
        whole.abandon()
