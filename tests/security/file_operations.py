"""Everything that the files API does, and what else looks up a path of the sandbox, by name, on one path."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath

from execd.errors import ExecdError
from execd.isolation.root import Root
from execd.service.directories import listed, make, remove, searched
from execd.service.downloads import OpenFile
from execd.service.env_file import read_env_file
from execd.service.files import delete, info_of, move, set_permission
from execd.service.folder_watch import FolderWatch
from execd.service.globs import Glob
from execd.service.landing import PendingFile, Syncing, sync_folders
from execd.service.moving import copy_entry
from execd.service.ownership import Permission
from execd.service.replacing import replace_in
from execd.service.workspace import Workspace, check_folder

HERE = PurePath("/home")

# How answers begin that found nothing.
REFUSED = ("PathUnusable", "FileNotFound", "NotADirectory", "FileForbidden", "OSError", "PermissionError")


def _download(root: Root, path: PurePath) -> object:
    opened = OpenFile.open(root, path)
    try:
        return opened.read(0, 1000)
    finally:
        opened.close()


def _upload(root: Root, path: PurePath) -> object:
    pending = PendingFile(root, path, Permission(0o604))
    try:
        syncing = Syncing()
        pending.write(b"uploaded")
        pending.settle(syncing)
        syncing.finish()
        pending.land()
        sync_folders(root, pending.folders)
    finally:
        pending.discard()
    return None


def _copy(root: Root, path: PurePath) -> object:
    with suppress(OSError):
        remove(root, HERE / "copied")
        with root.entry(path) as origin, root.entry(HERE / "copied") as place:
            copy_entry(origin, place)
    return [info.path for info in listed(root, HERE, 9)], _read_all(root)


def _read_all(root: Root) -> list[object]:
    contents: list[object] = []
    for info in searched(root, HERE, Glob("*")):
        with suppress(ExecdError):
            contents.append(_download(root, PurePath(info.path)))
    return contents


def _move_away(root: Root, path: PurePath) -> object:
    remove(root, HERE / "moved")
    move(root, path, HERE / "moved")
    return [info.path for info in listed(root, HERE, 9)], _read_all(root)


def _move_onto(root: Root, path: PurePath) -> object:
    _upload(root, HERE / "to-be-moved")
    move(root, HERE / "to-be-moved", path)
    return None


def _watch(root: Root, path: PurePath) -> object:
    watch = FolderWatch(root, path, recursive=True)
    try:
        watch.begin()
        return watch.read()
    finally:
        watch.close()


def _settle_in(root: Root, path: PurePath) -> object:
    return Workspace(root, Path(HERE)).usable(str(path))


OPERATIONS: dict[str, Callable[[Root, PurePath], object]] = {
    "info": info_of,
    "download": _download,
    "read_text": lambda root, path: root.read_text(path, 1000),
    "env_file": read_env_file,
    "list": lambda root, path: list(listed(root, path, 9)),
    "search": lambda root, path: list(searched(root, path, Glob("*"))),
    "watch": _watch,
    "check_folder": lambda root, path: check_folder(root, Path(path), "cwd"),
    "check_enterable": lambda root, path: root.check_enterable(path),
    "copy": _copy,
    "replace": lambda root, path: replace_in(root, path, b"what nobody", b"what everybody"),
    "upload": _upload,
    "set_permission": lambda root, path: set_permission(root, path, Permission(0o777)),
    "chown": lambda root, path: set_permission(root, path, Permission(0, "1000", "1000")),
    "make": lambda root, path: make(root, path, Permission(0o777)),
    "make_folder": lambda root, path: root.make_folder(path),
    "cwd": _settle_in,
    "move_onto": _move_onto,
    "move_away": _move_away,
    "delete": delete,
    "remove": remove,
}


def attempt(name: str, root: Root, path: PurePath) -> str:
    """Everything that the operation lets anybody know; refusals are as good as any other answer."""
    try:
        return repr(OPERATIONS[name](root, path))
    except (ExecdError, OSError) as error:
        return repr(error)


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
