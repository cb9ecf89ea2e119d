"""What processes say that a cell has forked off: they have no channel of their own, and tell the kernel, which passes
it on.

A message is a few packets in a socket that keeps them apart. It may come from several processes at once, so each packet
says whose it is. Who says more than the kernel takes in has to wait.
"""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

_PACKET = 32 * 1024
_HEAD = struct.Struct("=iI?")
"""Which process and which of its threads, and whether this is the message's end."""

_LENGTH = struct.Struct("=I")


class Offspring:
    """Both ends: the kernel hears, and a process that has called `begin` says."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._begun: dict[tuple[int, int], bytearray] = {}
        self.is_here = False
        """Whether this is a process that has been forked off."""

    def fileno(self) -> int:
        """The descriptor at which there is something to read when somebody has said something."""
        return self._ours.fileno()

    def begin(self) -> None:
        """Be such a process."""
        self.is_here = True
        self._ours.close()

    def say(self, frames: list[bytes]) -> None:
        """Tell the kernel; nobody, where it has ended."""
        data = b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames)
        who = os.getpid(), threading.get_native_id()
        with suppress(OSError):
            for start in range(0, len(data), _PACKET):
                end = start + _PACKET >= len(data)
                self._theirs.sendall(_HEAD.pack(*who, end) + data[start : start + _PACKET])

    def hear(self) -> Iterator[list[bytes]]:
        """The messages that have arrived whole."""
        while True:
            try:
                packet = self._ours.recv(_HEAD.size + _PACKET)
            except (BlockingIOError, InterruptedError):
                return
            if len(packet) < _HEAD.size:
                return
            pid, thread, end = _HEAD.unpack_from(packet)
            message = self._begun.setdefault((pid, thread), bytearray())
            message += packet[_HEAD.size :]
            if end:
                yield _frames_of(self._begun.pop((pid, thread)))


def _frames_of(data: bytearray) -> list[bytes]:
    frames, at = [], 0
    while at < len(data):
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        frames.append(bytes(data[at : at + size]))
        at += size
    return frames
