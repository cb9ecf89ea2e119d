"""What happens in a folder of a sandbox, and in the folders below it. Symlinks in it are told of and not followed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import PurePath

from execd.errors import NoWatchLeft
from execd.isolation.entry import identity, reopen_folder
from execd.isolation.inotify import Happened, Inotify, Notice
from execd.isolation.root import Root
from execd.isolation.trees import Tree, joined
from execd.service.paths import file_errors

# Each costs the kernel a kilobyte; the sandbox decides how many there are.
_MOST_FOLDERS = 16384

_ARRIVED = Happened.CREATED | Happened.MOVED_HERE
_GONE = Happened.DELETED | Happened.MOVED_AWAY
_CHANGED = Happened.MODIFIED | Happened.ATTRIBUTES
_ENDED = Happened.SELF_DELETED | Happened.SELF_MOVED | Happened.ENDED


@contextmanager
def _limits_told() -> Iterator[None]:
    # What elsewhere would be a full disk, or too many open files, is here that the user has too many watches.
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOSPC):
            raise NoWatchLeft from error
        raise


class Change(IntEnum):
    """What happened to a path. Of a path's changes that came together, the lower number was first, mostly."""

    CREATED = 1
    MODIFIED = 2
    DELETED = 3

    @property
    def type(self) -> str:
        """The name that events have."""
        return f"file_{self.name.lower()}"


Changes = set[tuple[Change, str]]


class FolderWatch:
    """A watch of one folder. `begin`, then `read` whenever `fd` is readable; `close` at the end. `ended` once the
    folder is gone. All but the last block, and raise the file errors of `execd.errors`. Raises NoWatchLeft."""

    def __init__(self, root: Root, folder: PurePath, recursive: bool) -> None:
        self._root = root
        self._folder = folder
        self._recursive = recursive
        with _limits_told():
            self._inotify = Inotify()
        self._watched: dict[int, str] = {}
        self._identity = (0, 0)
        self.ended = False

    @property
    def fd(self) -> int:
        """The descriptor that becomes readable."""
        return self._inotify.fd

    def begin(self) -> None:
        """Watch; nothing that happens from now on is missed. Raises FileNotFound, NotADirectory."""
        with self._root.acting(), file_errors(self._folder), self._root.target(self._folder) as found:
            self._identity = identity(found)
            tree = Tree(reopen_folder(found, self._folder))
            try:
                with _limits_told():
                    self._watched[self._inotify.add(tree.folder(""))] = ""
                if self._recursive:
                    for name in [name for name, is_folder in tree.entries("") if is_folder]:
                        self._watch_tree(tree, name)
            finally:
                # A folder that somebody holds open is not told to be gone.
                tree.close()

    def read(self) -> Changes:
        """What has happened until now."""
        changes: Changes = set()
        with self._root.acting():
            while notices := self._inotify.read():
                for notice in notices:
                    changes.update(self._understood(notice))
        return changes

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        self._inotify.close()

    def _open(self) -> Tree:
        tree = Tree(self._root.open_folder(self._folder))
        if identity(tree.folder("")) != self._identity:
            raise FileNotFoundError
        return tree

    def _understood(self, notice: Notice) -> Iterator[tuple[Change, str]]:
        above = self._watched.get(notice.watch)
        if notice.happened & Happened.OVERFLOW:
            yield Change.MODIFIED, str(self._folder)
        elif above is None:
            return
        elif notice.name:
            yield from self._in_folder(notice, joined(above, notice.name))
        elif not above:
            yield self._of_itself(notice), str(self._folder)
        elif notice.happened & Happened.ENDED:
            del self._watched[notice.watch]

    def _of_itself(self, notice: Notice) -> Change:
        self.ended = self.ended or bool(notice.happened & _ENDED)
        return Change.DELETED if self.ended else Change.MODIFIED

    def _in_folder(self, notice: Notice, relative: str) -> Iterator[tuple[Change, str]]:
        path = self._path(relative)
        is_folder = self._recursive and bool(notice.happened & Happened.FOLDER)
        if notice.happened & _CHANGED:
            yield Change.MODIFIED, path
        elif notice.happened & _GONE:
            yield Change.DELETED, path
            if is_folder:
                self._forget(relative)
        elif notice.happened & _ARRIVED:
            yield Change.CREATED, path
            if is_folder:
                yield from ((Change.CREATED, self._path(found)) for found in self._arrived(relative))

    def _arrived(self, relative: str) -> list[str]:
        try:
            tree = self._open()
        except OSError:
            return []
        try:
            return self._watch_tree(tree, relative)
        finally:
            tree.close()

    def _watch_tree(self, tree: Tree, relative: str) -> list[str]:
        """Watch a folder and those below it, as far as that is allowed; what is in them."""
        found: list[str] = []
        waiting = [relative]
        while waiting and len(self._watched) < _MOST_FOLDERS:
            above = waiting.pop()
            try:
                self._watched[self._inotify.add(tree.folder(above))] = above
                entries = tree.entries(above)
            except OSError:
                continue
            found += [joined(above, name) for name, _ in entries]
            waiting += [joined(above, name) for name, is_folder in entries if is_folder]
        return found

    def _forget(self, relative: str) -> None:
        below = f"{relative}/"
        for watch, known in list(self._watched.items()):
            if known == relative or known.startswith(below):
                self._inotify.remove(watch)
                del self._watched[watch]

    def _path(self, relative: str) -> str:
        return f"{str(self._folder).rstrip('/')}/{relative}"
