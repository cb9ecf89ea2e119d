"""A line to the warden on which one asks and waits for the answer, and a Launcher that has nothing else."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import Signals
from typing import Any

from execd.isolation.launch import Exit, Launch
from execd.warden.protocol import LOCK, SOCKET, Message, close_all, make_socket, raise_failure, receive, send

_PATIENCE_SECONDS = 30.0


class Line:
    """A connection of its own. Any thread may use it; they take turns."""

    def __init__(self, folder: Path) -> None:
        """Connect to the warden of this folder. Raises OSError."""
        self._folder = folder
        self._lock = threading.Lock()
        self._socket = connect(folder)

    def call(self, request: Message, fds: Sequence[int] = ()) -> tuple[Message, list[int]]:
        """Ask, and wait for the answer. Raises OSError."""
        with self._lock:
            if self._socket.fileno() < 0:
                raise OSError(errno.ECONNRESET, "the warden has ended")
            try:
                send(self._socket, {"id": 0, **request}, fds)
                received = receive(self._socket)
            except TimeoutError:
                # Who is not connected any more gets nothing of what was asked for.
                self._socket.close()
                self._socket = connect(self._folder)
                raise OSError(errno.ETIMEDOUT, "the warden did not answer in time") from None
        if received is None:
            raise OSError(errno.ECONNRESET, "the warden has ended")
        return result_of(received)

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        self._socket.close()


class LineLauncher:
    """A `Launcher` in a sandbox that somebody else has opened, for programs without the service: it needs no event
    loop of its own, so it asks for everything, and the loop that it is used in waits meanwhile."""

    def __init__(self, folder: Path, sandbox: str) -> None:
        """Connect to the warden of this folder. Raises OSError."""
        self._line = Line(folder)
        self._sandbox = sandbox

    def launch(self, wanted: Launch) -> LineStarted:
        """Start a process. Raises OSError."""
        return self._start("launch", wanted)

    async def begin(self, wanted: Launch) -> LineStarted:
        """The same. Raises OSError."""
        return self.launch(wanted)

    async def fork_kernel(self, wanted: Launch) -> LineStarted:
        """Start a kernel as a fork of the zygote. Raises OSError."""
        try:
            return self._start("fork_kernel", wanted)
        except ChildProcessError:
            # The zygote has ended with the request unread. There is another one now.
            return self._start("fork_kernel", wanted)

    def close(self) -> None:
        """Hang up; what was started goes on."""
        self._line.close()

    def _start(self, op: str, wanted: Launch) -> LineStarted:
        # Held, or its end could be missed between two questions.
        request = request_of(op, self._sandbox, wanted) | {"held": True}
        result, _ = self._line.call(request, fds_of(wanted))
        return LineStarted(self._line, result["process"], result["pid"])


class LineStarted:
    """A `Started` that asks how it is."""

    def __init__(self, line: Line, number: int, pid: int) -> None:
        self.pid = pid
        self._number = number
        self._line = line
        self._exit: Exit | None = None
        self._released = False

    @property
    def exit(self) -> Exit | None:
        """How it ended, None while it runs."""
        if self._exit is None:
            with suppress(OSError):
                told, _ = self._line.call({"op": "status", "process": self._number})
                self._exit = exit_of(told) if "code" in told else None if told else Exit(-9)
        return self._exit

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """Call this, in the event loop that runs now, once it has ended."""
        loop = asyncio.get_running_loop()
        try:
            ended = os.pidfd_open(self.pid)
        except ProcessLookupError:
            loop.call_soon(self._tell, callback)
            return

        def tell() -> None:
            loop.remove_reader(ended)
            os.close(ended)
            self._tell(callback)

        loop.add_reader(ended, tell)

    def signal(self, signum: Signals) -> None:
        """Signal the process; nothing once it has ended."""
        self._signal(signum, group=False)

    def signal_group(self, signum: Signals) -> None:
        """Signal its process group; nothing once it has been released."""
        self._signal(signum, group=True)

    def drop(self, *names: str) -> None:
        """Have these of the descriptors that are kept for it closed."""
        with suppress(OSError):
            self._line.call({"op": "drop", "process": self._number, "names": names})

    def release(self) -> None:
        """Let its number go to others. Safe to call twice."""
        if not self._released and self.exit is not None:
            self._released = True
            with suppress(OSError):
                self._line.call({"op": "release", "process": self._number})

    def _signal(self, signum: int, *, group: bool) -> None:
        with suppress(OSError):
            self._line.call({"op": "signal", "process": self._number, "signal": int(signum), "group": group})

    def _tell(self, callback: Callable[[Exit], None]) -> None:
        callback(self.exit or Exit(-9))


def connect(folder: Path) -> socket.socket:
    """A connection to the warden of this folder. Raises OSError."""
    made = make_socket()
    # A socket's path may have 107 bytes, and the folder's may be longer.
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made.settimeout(_PATIENCE_SECONDS)
        made.connect(f"/proc/self/fd/{place}/{SOCKET}")
        _prove(made, place)
    except BaseException:
        made.close()
        raise
    finally:
        os.close(place)
    return made


def _prove(to: socket.socket, place: int) -> None:
    proof = os.open(LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    try:
        send(to, {"op": "enter"}, [proof])
    finally:
        os.close(proof)


def request_of(op: str, sandbox: str, wanted: Launch) -> Message:
    """What to ask for, to start this; `fds_of` it goes beside it."""
    return {
        "op": op,
        "sandbox": sandbox,
        "argv": list(wanted.argv),
        "cwd": wanted.cwd,
        "env": dict(wanted.env),
        "fds": list(wanted.fds),
        "terminal": wanted.terminal,
        "uid": wanted.uid,
        "gid": wanted.gid,
        "held": wanted.held,
        "keep": list(wanted.keep),
        "label": wanted.label,
    }


def fds_of(wanted: Launch) -> list[int]:
    """The descriptors that starting this takes: the process's, and those that are kept."""
    return [*wanted.fds.values(), *wanted.keep.values()]


def result_of(received: tuple[Message, list[int]]) -> tuple[Message, list[int]]:
    """What was answered. Raises OSError."""
    message, fds = received
    if message.get("error"):
        close_all(fds)
        raise_failure(message["error"])
    return message["result"], fds


def exit_of(told: Mapping[str, Any]) -> Exit:
    """How a process ended, from what the warden tells of it."""
    return Exit(told["code"], told["cpu_seconds"], told["peak_memory"], bool(told.get("oom")))
