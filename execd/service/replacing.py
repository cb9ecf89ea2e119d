"""Replacing text in a file of any size."""

from __future__ import annotations

import os
from pathlib import PurePath

from execd.isolation.root import Root
from execd.service.landing import PendingFile, Syncing, sync_folders
from execd.service.ownership import Permission
from execd.service.paths import file_errors

_BLOCK_BYTES = 1024 * 1024


class Replacer:
    """Replaces in a stream of bytes what `bytes.replace` would in the whole. `old` is not empty."""

    def __init__(self, old: bytes, new: bytes) -> None:
        self._old = old
        self._new = new
        self._held = b""
        self.count = 0

    def feed(self, block: bytes) -> bytes:
        """What the next bytes become; the beginning of what could be a match is held back."""
        *pieces, rest = (self._held + block).split(self._old)
        self.count += len(pieces)
        settled = max(len(rest) - len(self._old) + 1, 0)
        self._held = rest[settled:]
        return self._new.join([*pieces, rest[:settled]])

    def end(self) -> bytes:
        """What was still held back."""
        return self._held


def replace_in(root: Root, path: PurePath, old: bytes, new: bytes) -> int:
    """Replace every `old` in a file by `new`; returns how many there were. The file changes in one step, and not at
    all when there are none. Raises NotAFile and the other file errors."""
    with file_errors(path):
        source = root.open_regular(path)
    try:
        return _rewrite(source, PendingFile(root, path, Permission()), Replacer(old, new))
    finally:
        os.close(source)


def _rewrite(source: int, pending: PendingFile, replacer: Replacer) -> int:
    try:
        while block := _read(source, pending.given):
            pending.write(replacer.feed(block))
        if replacer.count:
            pending.write(replacer.end())
            syncing = Syncing()
            pending.settle(syncing)
            syncing.finish()
            pending.land()
            sync_folders(pending.root, pending.folders)
        return replacer.count
    finally:
        pending.discard()


def _read(source: int, path: PurePath) -> bytes:
    with file_errors(path):
        return os.read(source, _BLOCK_BYTES)
