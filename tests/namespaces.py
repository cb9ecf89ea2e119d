"""A network namespace with nothing but a loopback interface, as a sandbox has it, and ways into it."""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Holds the namespaces, makes a socket of a family whenever it is asked, and ends with its input.
_HOLDER = """
import array, fcntl, os, socket, struct, sys
control = socket.socket(fileno=int(sys.argv[1]))
with socket.socket() as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 1))
control.send(b"up")
while family := control.recv(16):
    with socket.socket(int(family)) as made:
        control.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [made.fileno()]))])
"""


class NetworkNamespace:
    """One that a child process holds."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self._control = control

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A fresh TCP socket that belongs to the namespace."""
        self._control.send(str(int(family)).encode())
        _, [(_, _, data)], _, _ = self._control.recvmsg(1, socket.CMSG_SPACE(4))
        return socket.socket(fileno=array.array("i", data)[0])

    def command(self, *argv: str) -> Sequence[str]:
        """A command that runs in there."""
        return ["nsenter", "-t", str(self.pid), "-U", "-n", "--preserve-credentials", *argv]


def can_unshare() -> bool:
    """Whether this machine lets us make user and network namespaces."""
    return subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def network_namespace() -> Iterator[NetworkNamespace]:
    """A namespace that lasts as long as the block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = ["unshare", "-Urn", sys.executable, "-I", "-c", _HOLDER, str(theirs.fileno())]
        holder = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=dict(os.environ))
        theirs.close()
        try:
            assert ours.recv(2) == b"up"
            yield NetworkNamespace(holder.pid, ours)
        finally:
            ours.close()
            holder.wait(timeout=30)
