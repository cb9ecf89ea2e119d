"""stdout and stderr of a kernel: written to at C speed while a cell runs, never far behind it, and never ahead of a
reader who takes his time.

Stock has a lock, a dictionary and a timer for each write, and sends what has gathered in a fifth of a second as one
message, however long it is; a flush of its own goes to another thread and back.
"""

import codecs
import fcntl
import io
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from operator import call
from typing import Any, cast

from ipykernel import iostream

from execd_kernel.iopub import IOPub, is_control
from execd_kernel.wire import Call, Calls, at_once

PIECE = 1024 * 1024
"""How many characters a stream may hold back, which is also the most that one message carries."""

PIPE = 1024 * 1024
"""Bytes that may be written to a file descriptor before they are read, where that many are allowed."""

NUMBERS = {"stdout": 1, "stderr": 2}


class OutStream(iostream.OutStream):
    """A stream whose text leaves a few milliseconds after it was written, in pieces, and whose `flush` returns when it
    has been handed to the reader's queue, however long that takes. An interrupt ends the wait, and no text is lost by
    that, nor sent twice.

    While a cell runs that all of the output must be of, `write` is that of a StringIO (`be_quick`), which whoever has
    the lock empties. Otherwise it is a method that asks whose output it is.
    """

    def __init__(
        self,
        session: Any,
        pub_thread: IOPub,
        name: str,
        *,
        echo: Any = None,
        watchfd: bool = True,
        isatty: bool = False,
    ) -> None:
        self.session = session
        self.pub_thread = pub_thread
        self.name = name
        self.topic = b"stream." + name.encode()
        self._parent_header: ContextVar[dict[str, Any]] = ContextVar("parent_header")
        self._parent_header.set({})
        self._parent_header_global: dict[str, Any] = {}
        self._isatty = bool(isatty)
        self._local = threading.local()
        self.echo = echo
        self._held: deque[tuple[dict[str, Any], str]] = deque()
        self._size, self._most = 0, PIECE
        self._emptying = False
        quick = io.StringIO()
        self._tell, self._take_all = quick.tell, (quick.getvalue, quick.__init__)  # type: ignore[misc]
        self._taken: deque[str | None] = deque()
        self._is_quick = False
        self._write = quick.write
        self._unshared = sys.getrefcount(self._write)
        self._capture = Capture(name) if watchfd else None
        if self._capture is not None:
            self._original_stdstream_copy = self._capture.original
            pub_thread.watch(self._capture.fd, self._hear_descriptor)
        pub_thread.serve(self)

    def fileno(self) -> int:
        """The descriptor's own number: what a process writes to it is output of this stream."""
        if self._capture is None:
            raise io.UnsupportedOperation("fileno")
        return self._capture.number

    def write(self, string: str) -> int:
        """Write `string`; once `PIECE` characters are held back, wait until they have left."""
        if not isinstance(string, str):
            message = f"write() argument must be str, not {type(string)}"  # type: ignore[unreachable]
            raise TypeError(message)
        pub = self.pub_thread
        if pub is None:
            raise ValueError("I/O operation on closed file")
        size = len(string)
        with pub.lock:
            if self._tell():
                self._take()
            parent = self._parent_header.get(None) or self._parent_header_global
            if size < PIECE:
                self._held.append((parent, string))
                self._size += size
            else:
                self._hold(parent, string)
            if self._size >= self._most:
                self._send()
        if not pub.hurries:
            pub.hurry()
        if self.echo is not None:
            self.echo.write(string)
        return size

    def flush(self) -> None:
        """Hand over what has been written to the descriptor, and then what is held back, as a file would have it."""
        pub = self.pub_thread
        if pub is None:
            return
        if is_control():
            pub.hurry()
            return
        with pub.lock:
            if self._capture is not None and not pub.offspring.is_here:
                self._hear_descriptor()
            self._take()
            self._send()

    def set_parent(self, parent: dict[str, Any]) -> None:
        """What is written from now on belongs to this request, unless a thread or a task has one of its own."""
        with self.pub_thread.lock:
            self._take()
            super().set_parent(parent)  # type: ignore[no-untyped-call]

    def be_quick(self) -> None:
        """Until `be_slow`, everything that is written belongs to the same request."""
        if self.__dict__.get("write", self._write) in self._own and self.echo is None:
            with self.pub_thread.lock:
                self._is_quick = True
                self.__dict__["write"] = self._write_first

    def be_slow(self) -> None:
        """From now on, ask whose it is."""
        with self.pub_thread.lock:
            self._is_quick = False
            self._unset_write()

    def close(self) -> None:
        """Send what is held back, and let the descriptor be what it was."""
        if self.pub_thread is None:
            return
        self.flush()
        if self._capture is not None:
            self.pub_thread.unwatch(self._capture.fd)
            self._capture.close()
        self.pub_thread = cast("Any", None)

    @property
    def may_hold_more(self) -> bool:
        """Whether text may come without `hurry` being called: it may from who has got hold of the quick method."""
        set_by_us = self.__dict__.get("write") is self._write
        return set_by_us or sys.getrefcount(self._write) > self._unshared

    def send_held(self) -> bool:
        """Send all that is held back; called with the lock held. Returns whether there was anything.

        Whoever writes meanwhile does so slowly, and waits for the lock, until there is room again.
        """
        self._unset_write()
        self._take()
        found = bool(self._held)
        self._send()
        if self._is_quick:
            self.__dict__.setdefault("write", self._write if found else self._write_first)
        return found

    def begin_offspring(self) -> None:
        """Be in a process that has been forked off: what is held back, the kernel sends."""
        self._is_quick = self._emptying = False
        self._unset_write()
        deque(map(call, self._take_all), maxlen=0)
        self._held.clear()
        self._taken.clear()
        self._size, self._most = 0, 0

    @property
    def _own(self) -> tuple[Any, Any]:
        return self._write, self._write_first

    def _unset_write(self) -> None:
        if self.__dict__.get("write") in self._own:
            del self.__dict__["write"]

    def _write_first(self, string: str) -> int:
        """Write, and have it seen to; from then on text is looked for."""
        if not isinstance(string, str) or len(string) >= PIECE:  # type: ignore[redundant-expr]
            return OutStream.write(self, string)
        written = self._write(string)
        if self._is_quick:
            self.__dict__["write"] = self._write
        self.pub_thread.hurry()
        return written

    def _take(self) -> None:
        """Hold back what has been written quickly."""
        if self._emptying or not (self._tell() or self._taken):
            return
        self._emptying = True
        try:
            self._taken.extend(map(call, self._take_all))
            while self._taken:
                self._hold(self._parent_header_global, self._taken[0] or "", self._taken.popleft)
        finally:
            self._emptying = False

    def _hold(self, parent: dict[str, Any], text: str, *done: Call) -> None:
        pieces = [(parent, text[start : start + PIECE]) for start in range(0, len(text), PIECE)]
        at_once((partial(self._held.extend, pieces), *done))
        self._size += len(text)

    def _send(self) -> None:
        """Send what is held back. Where that is being done already, by what a handler of a signal has come into the
        middle of, that goes on to it."""
        if self._emptying:
            return
        self._emptying = True
        try:
            while self._held:
                parent, texts = self._next()
                self._say(parent, "".join(texts), (self._held.popleft,) * len(texts))
            self._size = 0
        finally:
            self._emptying = False

    def _next(self) -> tuple[dict[str, Any], list[str]]:
        """What goes into one message, and the request that it belongs to."""
        held = list(self._held)
        texts: list[str] = []
        parent, size = held[0][0], 0
        for whose, text in held:
            size += len(text)
            if whose is not parent or (texts and size > PIECE):
                break
            texts.append(text)
        return parent, texts

    def _say(self, parent: dict[str, Any], text: str, done: Calls) -> None:
        message = self.session.msg("stream", {"name": self.name, "text": text}, parent=parent)
        self.pub_thread.send_with(self.session.serialize(message, ident=self.topic), done)

    def _hear_descriptor(self) -> None:
        assert self._capture is not None
        if self._emptying or not self._capture.read():
            return
        self._emptying = True
        try:
            for text, done in self._capture.texts():
                self._say(self._parent_header_global, text, done)
        finally:
            self._emptying = False


class Capture:
    """A pipe in place of one of the process's own descriptors."""

    def __init__(self, name: str) -> None:
        self.number = NUMBERS[name]
        self.original = os.dup(self.number)
        self.fd, into = os.pipe()
        os.dup2(into, self.number)
        os.close(into)
        os.set_blocking(self.fd, False)
        with suppress(OSError):
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE)
        self._read: deque[bytes] = deque()

    def read(self) -> bool:
        """Read what is there, as much as fits in the pipe."""
        with suppress(BlockingIOError):
            self._read.extend(map(os.read, (self.fd,), (PIPE,)))
        return bool(self._read)

    def texts(self) -> Iterator[tuple[str, Calls]]:
        """The text that has been read, with calls that forget it; not the beginning of a character without its end."""
        data = b"".join(self._read)
        text, used = codecs.utf_8_decode(data, "replace", False)
        rest = (partial(self._read.append, data[used:]),) if data[used:] else ()
        if text:
            yield text, (self._read.clear, *rest)

    def close(self) -> None:
        """Let the descriptor be what it was."""
        os.dup2(self.original, self.number)
        os.close(self.original)
        os.close(self.fd)
