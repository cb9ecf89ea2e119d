"""A process that copies what comes on a socket to a file, and does nothing else."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import RowFailed

_PROGRAM = """
import socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
buffer = memoryview(bytearray(256 * 1024))
while True:
    connection, _ = listener.accept()
    with connection, open(sys.argv[2], "wb", buffering=0) as file:
        while count := connection.recv_into(buffer):
            file.write(buffer[:count])
        connection.sendall(b".")
"""


@contextmanager
def sink(target: Path) -> Iterator[tuple[str, int]]:
    """The host and port at which whatever is sent goes to this file, anew with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(listener.fileno()), str(target)]
        process = subprocess.Popen(command, pass_fds=(listener.fileno(),))
    try:
        yield address
    finally:
        process.kill()
        process.wait()


def poured(address: tuple[str, int], body: Iterable[bytes]) -> float:
    """The seconds until all of a body is in the file."""
    with socket.create_connection(address) as connection:
        started = time.perf_counter()
        for piece in body:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(1) != b".":
            raise RowFailed("the socket that is copied to a file was closed")
        return time.perf_counter() - started
