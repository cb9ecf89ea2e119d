"""Where a kernel is reached: unix sockets in a folder of its own.

With the `ipc` transport a "port" is only the suffix of a socket's path, so there is no race for ports and no secret
on a network. The kernel makes its sockets in a folder that it can write to, and could put something else in their
place; so each is opened first, without following a symlink, and what is connected to is the open descriptor.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePath

from execd.isolation.trees import wipe

_CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
_LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class Runtime:
    """The folder of a sandbox's kernels: as the service sees it, and as they see it themselves. What is made in it for
    a kernel belongs to `owner`, a uid and a gid; None: to the service's own user."""

    host: Path
    inside: PurePath
    owner: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One kernel's private folder (0700), as the service sees it and as the kernel does, the key that signs its
    messages, and the routing identity that the service has there: shell and stdin must share it, so that an
    input_request finds its way, and so must the next service, so that a reply does."""

    folder: Path
    inside: PurePath
    key: bytes
    identity: bytes

    @classmethod
    def make(cls, runtime: Runtime) -> Connection:
        """A new folder in the runtime folder with a connection file in it. Raises OSError."""
        folder = Path(tempfile.mkdtemp(prefix="k", dir=runtime.host))
        key, identity = secrets.token_hex(16).encode(), secrets.token_hex(16).encode()
        connection = cls(folder, runtime.inside / folder.name, key, identity)
        try:
            connection._check_length()
            connection._write(runtime.owner)
        except OSError:
            connection.remove()
            raise
        return connection

    @property
    def file(self) -> PurePath:
        """The connection file, where the kernel reads it."""
        return self.inside / "connection.json"

    @property
    def label(self) -> str:
        """What the kernel is called where it was started: no other has this name."""
        return self.folder.name

    @property
    def bound(self) -> bool:
        """Whether all the sockets that are connected to are there."""
        return all(self.socket(channel).exists() for channel in ("shell", "iopub", "stdin", "control"))

    def socket(self, channel: str) -> Path:
        """Where the kernel makes a channel's socket, as the service sees it."""
        return self.folder / f"s-{_CHANNELS[channel]}"

    def open_socket(self, channel: str) -> int:
        """A descriptor of a channel's socket, to be connected to at `address_of` it. Raises OSError, also where there
        is something else than a socket."""
        fd = os.open(self.socket(channel), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise OSError(f"the kernel has made no socket for its {channel} channel, but something else")

    def remove(self) -> None:
        """Remove the folder and everything in it. Safe to call twice."""
        wipe(self.folder)

    @property
    def _stem(self) -> str:
        return str(self.inside / "s")

    def _check_length(self) -> None:
        longest = len(os.fsencode(f"{self._stem}-1"))
        if longest > _LONGEST_SOCKET_PATH:
            raise OSError(f"the runtime folder's path is too long for unix sockets: {self.inside} ({longest} bytes)")

    def _write(self, owner: tuple[int, int] | None) -> None:
        # Whoever else is in the sandbox may be in the folder already: nothing that is there is written through.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.folder / self.file.name, flags, 0o600), "w", encoding="ascii") as file:
            json.dump(self._content(), file)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
        if owner is not None:
            os.chown(self.folder, *owner, follow_symlinks=False)

    def _content(self) -> dict[str, object]:
        # https://jupyter-client.readthedocs.io/en/stable/kernels.html#connection-files
        ports = {f"{channel}_port": number for channel, number in _CHANNELS.items()}
        signing = {"key": self.key.decode(), "signature_scheme": "hmac-sha256"}
        return {"transport": "ipc", "ip": self._stem, "kernel_name": "", **ports, **signing}


def address_of(fd: int) -> str:
    """Where ZMQ reaches a socket that was opened; good as long as the descriptor is open, whatever is renamed."""
    return f"ipc:///proc/self/fd/{fd}"
