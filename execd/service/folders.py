"""The folders that a service works in: its data, and a private runtime folder for sockets that ends with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from execd.errors import FolderInUse
from execd.identifiers import new_id
from execd.isolation.trees import wipe
from execd.service.execution import DEFAULT_SANDBOX
from execd.settings import Settings
from execd.warden.protocol import LOCK


@dataclass(frozen=True, slots=True)
class Folders:
    """Where things are while the service runs. What is in `sandboxes` and `runtime` is each somebody's own; `node` is
    who the service of this data folder is, whichever process that is."""

    data: Path
    node: str
    env_file: Path
    workspace: Path
    runtime: Path
    warden: Path
    cache: Path
    sandboxes: Path

    @classmethod
    @contextmanager
    def claim(cls, settings: Settings) -> Iterator[Folders]:
        """Make the folders and hold the data folder's lock. Raises FolderInUse, or OSError where one cannot be made."""
        data = settings.data_dir.absolute()
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        workspace = settings.workspace_dir.absolute()
        workspace.mkdir(parents=True, exist_ok=True, mode=0o700 if settings.workspace is None else 0o755)
        env_file = settings.envs or data / "envs"
        with _locked(data):
            env_file.touch(mode=0o600)
            for made in (data / "warden", data / "sandboxes"):
                made.mkdir(mode=0o700, exist_ok=True)
            runtime = _runtime(data / "runtime")
            folders = cls(
                data, _node(data), env_file, workspace, runtime, data / "warden", data / "cache", data / "sandboxes"
            )
            try:
                yield folders
            finally:
                folders.clear()

    def clear(self) -> None:
        """Remove what belongs to sandboxes, unless a warden lives: then they do."""
        if not _lives(self.warden / LOCK):
            for folder in (self.sandboxes, self.runtime):
                wipe(folder)
            (self.data / "runtime").unlink(missing_ok=True)

    def keep_only(self, sandbox_ids: Collection[str]) -> None:
        """Remove what belongs to other sandboxes than these."""
        for folder in self.sandboxes.iterdir():
            if folder.name not in sandbox_ids:
                wipe(folder)
        for folder in self.runtime.iterdir():
            # Without walls the one named default has its things beside the others' folders.
            if folder.name not in sandbox_ids and (DEFAULT_SANDBOX not in sandbox_ids or folder.name.startswith("sb_")):
                wipe(folder)

    def let_others_pass(self) -> None:
        """Let other users through to what is theirs in `sandboxes` and `runtime`. What else is in the data folder is
        closed to them by itself."""
        for folder in (self.sandboxes.parent, self.sandboxes, self.runtime):
            folder.chmod(0o711)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise FolderInUse(str(folder)) from None
    finally:
        os.close(fd)


def _node(folder: Path) -> str:
    file = folder / "node"
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    file.write_text(new_id("node"))
    return file.read_text()


def _runtime(link: Path) -> Path:
    # Directly below /tmp, whatever TMPDIR says: a unix socket's path must be short. The link in the data folder tells
    # the next service which one it is.
    if link.is_symlink():
        folder = link.readlink()
        if _is_ours(folder):
            return folder
        link.unlink()
    folder = Path(tempfile.mkdtemp(prefix="execd-", dir="/tmp"))
    link.symlink_to(folder)
    return folder


def _is_ours(folder: Path) -> bool:
    # Everybody may make something in /tmp after it was emptied.
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _lives(lock: Path) -> bool:
    """Whether a warden has locked this file."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
