"""A stand-in for a service and another sandbox, for code in a sandbox to try to reach."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.isolation.attempts import Outside
from tests.isolation.forks import close_all_but, fork
from tests.isolation.walls import OTHER_USER


@contextmanager
def outside(folder: Path) -> Iterator[Outside]:
    """All of it, in our process and one more; the folder is one that everybody may enter."""
    with ExitStack() as stack:
        secret = ctypes.create_string_buffer(b"the service's secret")
        file = folder / "public"
        file.write_text("not for sandboxes")
        file.chmod(0o644)
        (folder / "private").mkdir(mode=0o700)
        abstract = f"\0execd-test-{secrets.token_hex(8)}"
        shared, private = str(folder / "socket"), str(folder / "private" / "socket")
        for address in (abstract, shared, private):
            stack.enter_context(listening(socket.AF_UNIX, address))
        Path(shared).chmod(0o777)
        tcp = stack.enter_context(listening(socket.AF_INET, ("127.0.0.1", 0)))
        shm = stack.enter_context(shared_memory())
        other, other_file = stack.enter_context(_other_sandbox(folder / "other"))
        yield Outside(
            service=os.getpid(),
            file=str(file),
            socket=shared,
            private_socket=private,
            abstract=abstract,
            port=tcp.getsockname()[1],
            secret_at=ctypes.addressof(secret),
            secret_size=len(secret),
            other=other,
            other_file=str(other_file),
            shm=str(shm),
        )


@contextmanager
def listening(family: int, address: str | tuple[str, int]) -> Iterator[socket.socket]:
    """A socket that is connected to by whoever may; nobody answers."""
    with socket.socket(family) as server:
        server.bind(address)
        server.listen(64)
        yield server


@contextmanager
def shared_memory() -> Iterator[Path]:
    """A file in shared memory that is only ours to read."""
    path = Path("/dev/shm", f"execd-test-{secrets.token_hex(8)}")
    path.write_text("another's")
    path.chmod(0o600)
    try:
        yield path
    finally:
        path.unlink()


@contextmanager
def _other_sandbox(folder: Path) -> Iterator[tuple[int, Path]]:
    user = OTHER_USER if os.geteuid() == 0 else os.geteuid()
    folder.mkdir(mode=0o700)
    file = folder / "data"
    file.write_text("another's")
    file.chmod(0o600)
    for path in (folder, file):
        os.chown(path, user, user)
    pid = fork()
    if pid == 0:
        close_all_but(())
        os.setgroups([]) if os.geteuid() == 0 else None
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        while True:
            time.sleep(60)
    try:
        yield pid, file
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
