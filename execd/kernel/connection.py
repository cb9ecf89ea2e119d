"""Where a kernel is reached: unix sockets in a folder that only this user can enter.

With the `ipc` transport a "port" is only the suffix of a socket's path, so there is no race for ports and no secret
on a network. A socket's path may have 107 bytes, which is why the folder's path must be short.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jupyter_client.connect import write_connection_file

_CHANNELS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}
_LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class Connection:
    """One kernel's private folder (0700), its connection file and the key that signs its messages."""

    folder: Path
    key: bytes

    @classmethod
    def make(cls, runtime_dir: Path) -> Connection:
        """A new folder below `runtime_dir` with a connection file in it. Raises OSError."""
        folder = Path(tempfile.mkdtemp(prefix="k", dir=runtime_dir))
        connection = cls(folder, secrets.token_hex(16).encode())
        try:
            connection._check_length()
            connection._write()
        except OSError:
            connection.remove()
            raise
        return connection

    @property
    def file(self) -> Path:
        """The connection file that the kernel reads."""
        return self.folder / "connection.json"

    def endpoint(self, channel: str) -> str:
        """The ZMQ address of a channel."""
        return f"ipc://{self._stem}-{_CHANNELS[channel]}"

    def remove(self) -> None:
        """Remove the folder and everything in it. Safe to call twice."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _stem(self) -> str:
        return str(self.folder / "s")

    def _check_length(self) -> None:
        longest = len(os.fsencode(f"{self._stem}-1"))
        if longest > _LONGEST_SOCKET_PATH:
            raise OSError(f"the runtime folder's path is too long for unix sockets: {self.folder} ({longest} bytes)")

    def _write(self) -> None:
        write_connection_file(
            str(self.file),
            shell_port=_CHANNELS["shell"],
            iopub_port=_CHANNELS["iopub"],
            stdin_port=_CHANNELS["stdin"],
            control_port=_CHANNELS["control"],
            hb_port=_CHANNELS["hb"],
            ip=self._stem,
            key=self.key,
            transport="ipc",
        )
