"""Gathering what a run has made into the store of contents: its outputs, and the files in its workspace. Blocks.

A file is opened below the workspace by one call of the kernel that follows no symlink, as the sandbox's user, and only
if it is a regular one; its content is copied from that descriptor. Whatever the sandbox puts in the way meanwhile, the
worst that it gets is another file of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from execd.errors import ExecdError, NotAFile, StorageFull
from execd.isolation.entry import reopen_folder, reopen_regular
from execd.isolation.openat2 import open_beneath
from execd.isolation.root import Root
from execd.isolation.shown import shown
from execd.service.basket import Basket, Gathered, OutOfTime, Why
from execd.service.media import Media, extension_of, kind_of, media_of
from execd.service.rich_outputs import renderings
from execd.service.workspace_changes import Candidates
from execd.store.blobs import Blobs, TooLarge


def gather_outputs(records: Iterable[bytes], blobs: Blobs, basket: Basket) -> None:
    """Put what these events of a journal show into the basket."""
    for record in records:
        for rendering in renderings(record):
            media = Media(rendering.mime_type, kind_of(rendering.mime_type))
            number = sum(gathered.path is None for gathered in basket.gathered) + 1
            name = f"output-{number}{extension_of(rendering.mime_type)}"
            size = len(rendering.content)
            if why := basket.refusal(size):
                basket.leave_out(why, size=size)
                continue
            with _leaving_out(basket, size):
                basket.add(Gathered(name, media, blobs.put(rendering.content)))


def gather_files(root: Root, workspace: PurePath, found: Candidates, blobs: Blobs, basket: Basket) -> None:
    """Put the files among the candidates into the basket; what is none, or is gone, is nothing."""
    if not found.all_seen:
        basket.leave_out(Why.UNSEEN, count=0)
    if not found:
        return
    try:
        files = _Files(root, workspace, blobs, basket)
    except (OSError, ExecdError):
        # Who has no workspace left has left nothing in it.
        return
    try:
        files.gather(sorted([*((path, 0) for path in found.written), *((path, found.since) for path in found.perhaps)]))
    finally:
        files.close()


class _Files:
    """The files of one workspace, on their way into a basket."""

    def __init__(self, root: Root, workspace: PurePath, blobs: Blobs, basket: Basket) -> None:
        self._root = root
        self._workspace = workspace
        self._blobs = blobs
        self._basket = basket
        with root.acting(), root.target(workspace) as found:
            self._folder = reopen_folder(found, workspace)

    def gather(self, wanted: list[tuple[str, int]]) -> None:
        """Those with these paths, if they were modified after these moments (ns)."""
        for place, (relative, modified_after) in enumerate(wanted):
            try:
                self._basket.hurry()
                self._gather(relative, modified_after)
            except OutOfTime:
                self._basket.leave_out(Why.TIME, len(wanted) - place)
                return

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._folder)

    def _gather(self, relative: str, modified_after: int) -> None:
        try:
            fd = self._open(relative)
        except (OSError, NotAFile):
            return
        try:
            told = os.fstat(fd)
            if told.st_mtime_ns < modified_after:
                return
            if why := self._basket.refusal(told.st_size):
                self._basket.leave_out(why, size=told.st_size)
                return
            with _leaving_out(self._basket, told.st_size):
                self._keep(fd, relative)
        finally:
            os.close(fd)

    def _open(self, relative: str) -> int:
        with self._root.acting():
            found = open_beneath(self._folder, relative, os.O_PATH | os.O_NOFOLLOW)
            try:
                return reopen_regular(found, self._workspace / relative, os.O_RDONLY)
            finally:
                os.close(found)

    def _keep(self, fd: int, relative: str) -> None:
        blob = self._blobs.put_file(fd, self._basket.most, self._basket.hurry)
        name = shown(PurePath(relative).name)
        path = shown(self._workspace / relative)
        self._basket.add(Gathered(name, media_of(name, blob.head), blob, path))


@contextmanager
def _leaving_out(basket: Basket, size: int) -> Iterator[None]:
    try:
        yield
    except TooLarge:
        # It grew while it was copied.
        basket.leave_out(Why.SIZE, size=size)
    except StorageFull:
        basket.leave_out(Why.STORAGE, size=size)
    except OSError:
        # What cannot be read is nothing that could be kept.
        return
