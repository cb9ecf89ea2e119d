"""The warden's program: `python -I -S …/execd/warden/__main__.py FOLDER SECONDS`.

Listens on FOLDER/warden.sock, and returns once it does: a fork of it lives on, and ends with everything that it has
started when no client has been there for SECONDS. Exits with 75 where another one listens already.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys

ANOTHER = 75
"""The exit code that says that there is a warden already."""


def main(folder: str, patience: float) -> None:
    """Be the warden."""
    os.chdir(folder)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(ANOTHER)
    listener = listen()
    if os.fork():
        os._exit(0)
    os.setsid()
    serve(listener, lock, patience)
    os.unlink(SOCKET)


def listen() -> socket.socket:
    """The socket, which nobody else can connect to."""
    made = make_socket()
    if os.path.lexists(SOCKET):
        os.unlink(SOCKET)
    before = os.umask(0o177)
    made.bind(SOCKET)
    os.umask(before)
    made.listen(64)
    return made


def serve(listener: socket.socket, lock: int, patience: float) -> None:
    """Live until everything has ended."""
    become_subreaper()
    loop = Loop()
    supervisor = Supervisor(loop, listener, lock, patience)
    loop.on_signal(signal.SIGTERM, supervisor.end)
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    loop.run()


if __name__ == "__main__":
    sys.path.append(__file__.rpartition("/execd/")[0])

from execd.warden.linux import become_subreaper  # noqa: E402
from execd.warden.loop import Loop  # noqa: E402
from execd.warden.protocol import LOCK, SOCKET, make_socket  # noqa: E402
from execd.warden.supervisor import Supervisor  # noqa: E402

if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
