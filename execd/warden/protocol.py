"""What is said over the warden's sockets: one JSON object a message, with descriptors beside it.

Requests have an `id` and an `op`; the answer has the same `id` and either `result` or `error`. What the warden says by
itself has an `event`. A message that a socket's buffer may not have room for travels in a memfd.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

VERSION = 3
SOCKET = "warden.sock"
"""The socket's name in the warden's folder."""
LOCK = "warden.lock"
"""A file beside it, which the living warden has locked. A client's first message, which has no answer, is a descriptor
of it that can be read: only the permissions of files count for who connects, and Landlock is nothing to sockets, so
sandboxes of the same user may get this far."""

Message = dict[str, Any]

_INLINE = 32 * 1024
_MOST_FDS = 250  # SCM_MAX_FD is 253.
_HERE, _BESIDE = b"=", b"@"


class Unreadable(Exception):
    """The other side sent what is no message, or more descriptors than there was room for."""


def make_socket() -> socket.socket:
    """A socket of the kind that messages travel on."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Two of them, connected."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def send(to: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send a message and copies of descriptors. Raises OSError; BlockingIOError when a non-blocking socket is full."""
    data = json.dumps(message).encode()
    if len(data) < _INLINE:
        _send(to, _HERE + data, fds)
        return
    letter = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        _write(letter, data)
        _send(to, _BESIDE, (letter, *fds))
    finally:
        os.close(letter)


def receive(source: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message with its descriptors, which are the caller's; None once the other side has hung up.

    Raises OSError, BlockingIOError when a non-blocking socket is empty, and Unreadable.
    """
    room = socket.CMSG_SPACE(_MOST_FDS * array.array("i").itemsize)
    try:
        data, ancillary, flags, _ = source.recvmsg(_INLINE + 1, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    fds = _descriptors(ancillary)
    if not data:
        close_all(fds)
        return None
    try:
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            raise Unreadable("a message did not fit")
        return _open(data, fds)
    except BaseException:
        close_all(fds)
        raise


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def failure(error: OSError) -> Message:
    """An OSError as an answer's `error`."""
    return {"errno": error.errno or errno.EIO, "text": error.strerror or str(error), "file": _text(error.filename)}


def raise_failure(error: Message) -> None:
    """The OSError that an answer's `error` tells of."""
    if error.get("file"):
        raise OSError(error["errno"], error["text"], error["file"])
    raise OSError(error["errno"], error["text"])


def _send(to: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    socket.send_fds(to, [data], list(fds), socket.MSG_NOSIGNAL) if fds else to.send(data, socket.MSG_NOSIGNAL)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _open(data: bytes, fds: list[int]) -> tuple[Message, list[int]]:
    content = data[1:]
    if data[:1] == _BESIDE:
        if not fds:
            raise Unreadable("a message was to be beside its letter, and was not")
        letter = fds.pop(0)
        try:
            content = os.pread(letter, os.fstat(letter).st_size, 0)
        finally:
            os.close(letter)
    elif data[:1] != _HERE:
        raise Unreadable("a message must say where it is")
    try:
        message = json.loads(content)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not isinstance(message, dict):
        raise Unreadable("a message must be an object")
    return message, fds


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _text(name: Any) -> str | None:
    return None if name is None else os.fsdecode(name)
