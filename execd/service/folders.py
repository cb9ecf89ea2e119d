"""The folders that a service works in: its data, and a private runtime folder for sockets that ends with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from execd.errors import FolderInUse
from execd.identifiers import new_id
from execd.isolation.trees import wipe
from execd.settings import Settings


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
        with (
            _locked(data),
            _fresh(data / "sandboxes") as sandboxes,
            _runtime(data / "runtime") as runtime,
        ):
            env_file.touch(mode=0o600)
            warden = data / "warden"
            warden.mkdir(mode=0o700, exist_ok=True)
            yield cls(data, _node(data), env_file, workspace, runtime, warden, data / "cache", sandboxes)

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


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    # What a service left that was killed; what it knew of executions and sandboxes is gone with its memory.
    wipe(folder)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        wipe(folder)


@contextmanager
def _runtime(link: Path) -> Iterator[Path]:
    # Directly below /tmp, whatever TMPDIR says: a unix socket's path must be short. The link in the data folder tells
    # the next service what one left that was killed.
    if link.is_symlink():
        wipe(link.readlink())
        link.unlink()
    folder = Path(tempfile.mkdtemp(prefix="execd-", dir="/tmp"))
    link.symlink_to(folder)
    try:
        yield folder
    finally:
        wipe(folder)
        link.unlink(missing_ok=True)
