"""A folder that plays a sandbox, in which everything leads out, and what lies outside."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from execd.isolation.root import Root

SECRET = "what nobody inside may know"

_AT_FDCWD = -100
_EXCHANGE = 2


@dataclass(frozen=True, slots=True)
class World:
    """A sandbox's root and its home folder, and the folder of secrets beside the root."""

    root: Root
    inside: Path
    outside: Path

    @property
    def home(self) -> Path:
        return self.inside / "home"

    def snapshot(self) -> list[tuple[object, ...]]:
        """All that could be changed outside."""
        return [_facts(path) for path in sorted([self.outside, *self.outside.rglob("*")])]


def _facts(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    content = path.read_bytes() if path.is_file() else sorted(path.iterdir())
    return str(path), content, found.st_mode, found.st_uid, found.st_gid, found.st_ino, found.st_mtime_ns


@contextmanager
def hostile_world(folder: Path, owner: tuple[int, int] | None = None) -> Iterator[World]:
    """A world in this folder."""
    outside, inside = folder / "outside", folder / "inside"
    (outside / "folder").mkdir(parents=True)
    for name in ("secret", "folder/secret"):
        (outside / name).write_text(SECRET)
        (outside / name).chmod(0o600)
    (inside / "home/plain/folder").mkdir(parents=True)
    for name in ("secret", "folder/secret", "old"):
        (inside / "home/plain" / name).write_text("harmless")
    for name, target in links_out(outside).items():
        (inside / "home" / name).symlink_to(target)
    root = Root(os.open(inside, os.O_PATH | os.O_DIRECTORY), owner)
    try:
        yield World(root, inside, outside)
    finally:
        root.close()


def links_out(outside: Path) -> dict[str, str]:
    """Symlinks by name, each of which leads out where it is followed naively."""
    return {
        "absolute": str(outside),
        "absolute-file": str(outside / "secret"),
        "relative": "../../outside",
        "relative-file": "../../outside/secret",
        "dots": "../../../../../../../../../../../.." + str(outside),
        "through": "plain/../../../outside",
        "chained": "chain-2",
        "chain-2": "chain-3",
        "chain-3": "../../outside",
        "environ": "/proc/self/environ",
        "process-root": f"/proc/self/root{outside}",
        "first-process": f"/proc/1/root{outside}",
        "process-cwd": "/proc/self/cwd",
        "loop": "loop",
        "to-itself": "/home/to-itself/x",
    }


@contextmanager
def exchanged(one: Path, other: Path) -> Iterator[None]:
    """While the block runs, a thread exchanges two names over and over."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = os.fsencode(one), os.fsencode(other)
    begun, over = threading.Event(), threading.Event()

    def exchange() -> None:
        while not over.is_set():
            renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
            begun.set()

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        over.set()
        thread.join()
