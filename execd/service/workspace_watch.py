"""What is touched in a workspace, as inotify tells it: no look at ten thousand files is needed to know that nothing is.

Folders that are left out are not watched. Where a watch cannot know everything, since the kernel's queue ran over or
it allows no more watches, it says so (`complete`), and somebody has to look (execd.service.workspace_scan).
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from pathlib import PurePath

from execd.isolation.entry import reopen_folder
from execd.isolation.inotify import Happened, Inotify, Notice
from execd.isolation.root import Root
from execd.isolation.trees import Tree, joined
from execd.service.left_out import VENV_MARK, file_left_out, folder_left_out

MOST_FOLDERS = 16384
MOST_TOUCHED = 65536
MOST_SECONDS = 1.0
"""How long a look may take, at what is new or has happened. A workspace that takes longer is not watched."""

_ARRIVED = Happened.CREATED | Happened.MOVED_HERE
_ENDED = Happened.SELF_DELETED | Happened.SELF_MOVED | Happened.ENDED
_WANTED = (
    _ARRIVED
    | Happened.MOVED_AWAY
    | Happened.MODIFIED
    | Happened.ATTRIBUTES
    | Happened.WRITER_CLOSED
    | Happened.SELF_DELETED
    | Happened.SELF_MOVED
)
# No longer there by the time that it was looked at, or not for us to see.
_PASSED_OVER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EXDEV})


@dataclass(slots=True)
class Touched:
    """Paths below the workspace, relative to it. `written` were created, moved there or written to; `perhaps` were
    closed after they had been open for writing, or changed in what is told of them: their time of modification says
    whether their content did (a mapped file is written to without a notice). Nothing tells that these are files."""

    written: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.written or self.perhaps)


class WorkspaceWatch:
    """A watch of one workspace. `begin` first, `close` at the end. `complete` is whether nothing has been missed so
    far; once it is not, the watch is of no more use. All but `close` and `quiet` block."""

    def __init__(self, root: Root, workspace: PurePath, most_folders: int = MOST_FOLDERS) -> None:
        self._root = root
        self._workspace = workspace
        self._most_folders = most_folders
        self._inotify = Inotify()
        self._watched: dict[int, str] = {}
        self._ends = 0.0
        self.complete = True
        self._waiting: list[Notice] = []

    def begin(self) -> None:
        """Watch; nothing that happens from now on is missed while it is `complete`. Raises OSError, NotADirectory."""
        self._ends = time.monotonic() + MOST_SECONDS
        with self._root.acting():
            tree = self._tree()
            try:
                self._add(tree, "")
                self._arrive(tree, "", None)
            finally:
                # A folder that somebody holds open is not told to be gone.
                tree.close()

    def quiet(self) -> bool:
        """Whether nothing has happened since it was read. Takes microseconds, and blocks nobody."""
        if not self._waiting:
            self._waiting = self._inotify.read()
        return not self._waiting

    def read(self) -> Touched:
        """What has been touched since the last time. Raises OSError."""
        touched = Touched()
        self._ends = time.monotonic() + MOST_SECONDS
        # Whoever keeps on writing is not waited for.
        notices, self._waiting = self._waiting + self._inotify.read_until_now(), []
        with self._root.acting():
            for notice in notices:
                self._understand(notice, touched)
                self.complete = self.complete and time.monotonic() < self._ends
                if not self.complete:
                    break
        if len(touched.written) + len(touched.perhaps) > MOST_TOUCHED:
            self.complete = False
        return touched

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        self._inotify.close()

    def _tree(self) -> Tree:
        with self._root.target(self._workspace) as found:
            return Tree(reopen_folder(found, self._workspace))

    def _understand(self, notice: Notice, touched: Touched) -> None:
        above = self._watched.get(notice.watch)
        if notice.happened & Happened.OVERFLOW:
            self.complete = False
        elif above is None:
            return
        elif not notice.name:
            self._of_itself(notice, above)
        elif notice.happened & Happened.FOLDER:
            self._folder(notice, joined(above, notice.name), touched)
        elif notice.name == VENV_MARK and notice.happened & _ARRIVED and above:
            self._forget(above)
        elif not file_left_out(notice.name):
            _file(notice, joined(above, notice.name), touched)

    def _of_itself(self, notice: Notice, above: str) -> None:
        if not above and notice.happened & _ENDED:
            self.complete = False
        elif notice.happened & Happened.ENDED:
            del self._watched[notice.watch]

    def _folder(self, notice: Notice, relative: str, touched: Touched) -> None:
        if notice.happened & Happened.MOVED_AWAY:
            # Of one that was deleted, the kernel ends the watch and says so.
            self._forget(relative)
        elif notice.happened & _ARRIVED and not folder_left_out(notice.name):
            try:
                tree = self._tree()
            except OSError:
                self.complete = False
                return
            try:
                self._arrive(tree, relative, touched)
            finally:
                tree.close()

    def _arrive(self, tree: Tree, relative: str, touched: Touched | None) -> None:
        """Watch a folder and those below it; whatever is in them is new there, where anybody wants to know."""
        waiting = [relative]
        while waiting and self.complete:
            above = waiting.pop()
            try:
                self._add(tree, above)
                entries = tree.entries(above)
            except OSError as error:
                if error.errno not in _PASSED_OVER:
                    self.complete = False
                continue
            if above and (VENV_MARK, False) in entries:
                self._forget(above)
                continue
            waiting += [joined(above, name) for name, is_folder in entries if is_folder and not folder_left_out(name)]
            if touched is not None:
                files = [name for name, is_folder in entries if not is_folder and not file_left_out(name)]
                touched.written.update(joined(above, name) for name in files)

    def _add(self, tree: Tree, relative: str) -> None:
        if len(self._watched) >= self._most_folders or time.monotonic() > self._ends:
            self.complete = False
            return
        self._watched[self._inotify.add(tree.folder(relative), _WANTED)] = relative

    def _forget(self, relative: str) -> None:
        below = f"{relative}/"
        for watch, known in list(self._watched.items()):
            if known == relative or known.startswith(below):
                self._inotify.remove(watch)
                del self._watched[watch]


def _file(notice: Notice, relative: str, touched: Touched) -> None:
    if notice.happened & (_ARRIVED | Happened.MODIFIED):
        touched.written.add(relative)
    elif notice.happened & (Happened.ATTRIBUTES | Happened.WRITER_CLOSED):
        touched.perhaps.add(relative)
