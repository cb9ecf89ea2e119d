"""What connects a terminal with its shell: a pseudoterminal, or three pipes. Here are the service's ends of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

COLUMNS = 80
ROWS = 24

# pty(7) and pipe(7) hand out less at once; a frame on the wire is at most this long too.
READ_SIZE = 32 * 1024

_IUTF8 = 0o40000  # termios(3); Python names it from 3.13 on


OpenPty = Callable[[], tuple[int, int]]


class Mode(StrEnum):
    """How a shell is connected."""

    PTY = "pty"
    PIPE = "pipe"


class Stream(StrEnum):
    """Which output it is; a pseudoterminal has only one."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(slots=True)
class Line:
    """Non-blocking descriptors: `stdin` to write to, and each of `outputs` to read from. -1: no longer open."""

    mode: Mode
    stdin: int
    outputs: dict[int, Stream] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, mode: Mode, open_pty: OpenPty = os.openpty) -> Iterator[tuple[Line, tuple[int, int, int]]]:
        """A line, and what the shell has for its stdin, stdout and stderr, which is closed on leaving: the shell has
        its own by then. Raises OSError where the machine has no more of them."""
        line, theirs = cls._open_pty(open_pty) if mode is Mode.PTY else cls._open_pipes()
        try:
            yield line, theirs
        except BaseException:
            line.close()
            raise
        finally:
            for fd in set(theirs):
                os.close(fd)

    @classmethod
    def _open_pty(cls, open_pty: OpenPty) -> tuple[Line, tuple[int, int, int]]:
        ours, theirs = open_pty()
        os.set_blocking(ours, False)
        line = cls(Mode.PTY, ours, {ours: Stream.STDOUT})
        line.resize(COLUMNS, ROWS)
        _erase_whole_characters(theirs)
        return line, (theirs, theirs, theirs)

    @classmethod
    def _open_pipes(cls) -> tuple[Line, tuple[int, int, int]]:
        pairs: list[tuple[int, int]] = []
        try:
            pairs.extend(os.pipe() for _ in range(3))
        except OSError:
            for pair in pairs:
                os.close(pair[0])
                os.close(pair[1])
            raise
        (stdin, ours_in), (ours_out, stdout), (ours_err, stderr) = pairs
        for fd in (ours_in, ours_out, ours_err):
            os.set_blocking(fd, False)
        line = cls(Mode.PIPE, ours_in, {ours_out: Stream.STDOUT, ours_err: Stream.STDERR})
        return line, (stdin, stdout, stderr)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the programs the size of the window (SIGWINCH); pipes have none."""
        if self.mode is Mode.PTY and self.stdin >= 0:
            fcntl.ioctl(self.stdin, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def foreground(self) -> int | None:
        """The process group that the keyboard talks to, None where there is no keyboard or no such group."""
        if self.mode is Mode.PIPE or self.stdin < 0:
            return None
        with contextlib.suppress(OSError):
            return os.tcgetpgrp(self.stdin) or None
        return None

    def read(self, fd: int) -> bytes | None:
        """What an output has to say, b"" at its end, None when there is nothing now."""
        try:
            return os.read(fd, READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EIO:  # how a pseudoterminal says that nobody is left at the other end
                return b""
            raise

    def write(self, data: bytearray) -> int:
        """How many bytes of `data` were taken; 0 when the shell has to read first. Raises OSError (EPIPE, EIO) when it
        never will."""
        try:
            return os.write(self.stdin, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Close every end of ours, which hangs a pseudoterminal up. Safe to call twice."""
        for fd in {self.stdin, *self.outputs} - {-1}:
            os.close(fd)
        self.outputs.clear()
        self.stdin = -1


def _erase_whole_characters(terminal: int) -> None:
    attributes = termios.tcgetattr(terminal)
    attributes[0] |= _IUTF8
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
