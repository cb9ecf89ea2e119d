"""iopub, written to by whoever has something to say, under one lock; for one subscriber that may go, and come again.

Stock hands each message to a thread, which has to wake up for it and to get hold of the interpreter. Here the thread
does only what nobody else is there for: it hears of subscribers, sends what was printed while a cell goes on, and
passes on what forked processes say and what is written to file descriptors.

A socket without a subscriber drops what it is given. Here that waits, as it does in a pipe: some of it in memory, and
what is more makes the code wait that says it. Before the first subscriber nothing is kept.
"""

import ctypes
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import zmq
from ipykernel import iostream
from ipykernel.thread import CONTROL_THREAD_NAME

from execd_kernel.offspring import Offspring
from execd_kernel.wire import Calls, Wire, at_once

MOST_KEPT = 16 * 1024 * 1024
"""Bytes that are kept before who says more has to wait."""

TICK_SECONDS = 0.004
"""How long printed text is held back: with the time that it takes to get it out, 5 ms."""

LONGEST_TICK_SECONDS = 0.1
"""How seldom is looked for text while code runs that prints nothing."""

_LAST_WORDS_MS = 1000

_wake = ctypes.PyDLL(None).eventfd_write
"""What os.eventfd_write does, but without letting another thread run."""

_wake.argtypes = (ctypes.c_int, ctypes.c_uint64)


def is_control() -> bool:
    """Whether this is the thread of the control channel. It must never wait for a reader: who asks it whether code does
    must get an answer."""
    return threading.current_thread().name == CONTROL_THREAD_NAME


class Held(Protocol):
    """Who holds text back."""

    def send_held(self) -> bool:
        """Send it; called with the lock held. Returns whether there was any."""

    @property
    def may_hold_more(self) -> bool:
        """Whether text may come without `hurry` being called."""

    def begin_offspring(self) -> None:
        """Be in a process that has been forked off."""


class IOPub(iostream.IOPubThread):
    """The socket and its thread, with the interface of ipykernel's. The socket must block where it is full."""

    def __init__(self, socket: Any, session: Any) -> None:
        self.socket = socket
        self.session = session
        self.lock = threading.RLock()
        self.background_socket = iostream.BackgroundSocket(self)  # type: ignore[no-untyped-call]
        self.offspring = Offspring()
        self._wire = Wire(socket)
        self._subscribed = self._was_heard = self._busy = self._stopped = self._armed = False
        self._later: deque[list[bytes]] = deque()
        self._kept: deque[list[bytes]] = deque()
        self._size = 0
        self._due = 0.0
        self._pause = TICK_SECONDS
        self._holding: list[Held] = []
        self.hurries = False
        """Whether text is looked for at every tick, or need not be."""
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watched: dict[int, Callable[[], None]] = {}
        self._poll = select.poll()
        self.watch(self._wake, self._be_woken)
        self.watch(socket.FD, self._hear_subscribers)
        self.watch(self.offspring.fileno(), self._pass_on)
        self.thread = threading.Thread(target=self._thread_main, name="IOPub", daemon=True)
        self.thread.pydev_do_not_trace = True  # type: ignore[attr-defined]
        self.thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]

    def start(self) -> None:
        """Have the thread run."""
        os.register_at_fork(after_in_child=self._begin_offspring)
        self.thread.start()

    def watch(self, fd: int, act: Callable[[], None]) -> None:
        """Have the thread call `act` with the lock held whenever there is something to read at the descriptor."""
        self._watched[fd] = act
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Watch it no more."""
        self._poll.unregister(fd)
        del self._watched[fd]

    def serve(self, held: Held) -> None:
        """Send what this one holds back, a moment after it has called `hurry`."""
        self._holding.append(held)

    def hurry(self) -> None:
        """There is text: let none of it wait for longer than a tick.

        The caller goes on for a moment before the thread comes to it: `print` writes its line's end by itself.
        """
        self._armed = self.hurries = True
        self._due = 0.0
        _wake(self._wake, 1)

    def schedule(self, f: Callable[[], Any]) -> None:
        """Call `f` when nobody else uses the socket: now."""
        with self.lock:
            f()

    def send_multipart(self, msg: list[Any], *_args: Any, **_options: Any) -> None:
        """Send a message, in its turn. It waits where it must wait for a reader, and an interrupt ends that."""
        frames = [part if isinstance(part, bytes) else bytes(part) for part in msg]
        if is_control():
            self._later.append(frames)
            os.eventfd_write(self._wake, 1)
        else:
            self.send_with(frames, ())

    def send_with(self, msg: list[bytes], done: Calls) -> None:
        """Send a message and make the calls `done`, which are into C, as one step."""
        if self.offspring.is_here:
            self.offspring.say(msg)
            at_once(done)
            return
        with self.lock:
            if self._busy:
                # A handler or a finaliser of the user's, in the middle of another message.
                at_once((partial(self._later.append, msg), *done))
                return
            self._busy = True
            try:
                self._send_later()
                self._put(msg, done)
                self._send_later()
            finally:
                self._busy = False

    def stop(self) -> None:
        """Send what is held back, if that takes no long time, and end the thread."""
        self._stopped = True
        if self.offspring.is_here or not self.thread.is_alive():
            return
        os.eventfd_write(self._wake, 1)
        self.thread.join(timeout=30)

    def _put(self, msg: list[bytes], done: Calls) -> None:
        if self.closed:
            return
        self._look()
        if self._subscribed or not self._was_heard:
            self._wire.send(msg, done)
            # Sending hears of subscribers too, and then the descriptor does not tell of them.
            self._look()
            return
        at_once((partial(self._kept.append, msg), *done))
        self._size += sum(map(len, msg))
        while self._must_wait():
            self.socket.poll(100)
            self._look()

    def _must_wait(self) -> bool:
        return self._size > MOST_KEPT and not (self._subscribed or self._stopped)

    def _send_later(self) -> None:
        while self._later:
            self._put(self._later[0], (self._later.popleft,))

    def _look(self) -> None:
        """Take note of subscribers that have come or gone."""
        while not self.closed and (events := self._wire.events()):
            for event in events:
                self._handle_subscription(event)
            self._wire.forget()

    def _handle_subscription(self, frame: bytes) -> None:
        if frame[:1] == b"\x00":
            self._subscribed = False
        elif frame[:1] == b"\x01":
            self._subscribed = self._was_heard = True
            self._welcome(frame[1:])
            self._hand_over()

    def _welcome(self, topic: bytes) -> None:
        message = self.session.msg("iopub_welcome", {"subscription": topic.decode("utf-8", "replace")})
        self._wire.send(self.session.serialize(message, ident=topic or None), ())

    def _hand_over(self) -> None:
        while self._kept:
            self._wire.send(self._kept[0], (self._kept.popleft,))
        self._size = 0

    def _pass_on(self) -> None:
        for msg in self.offspring.hear():
            self.send_with(msg, ())

    def _be_woken(self) -> None:
        # Said again here, where nobody can be about to find that there is no text.
        os.eventfd_read(self._wake)
        self._armed, self._due = True, 0.0
        # Before what has been written to descriptors is looked at: it is older, most often.
        self._tick()
        if self._later:
            self.send_with(self._later.popleft(), ())

    def _hear_subscribers(self) -> None:
        self._busy = True
        try:
            self._look()
        finally:
            self._busy = False

    def _thread_main(self) -> None:
        wait = None
        while not self._stopped:
            ready = self._poll.poll(wait)
            with self.lock:
                for fd, _ in ready:
                    self._watched.get(fd, int)()
                wait = self._tick()
        with self.lock, suppress(zmq.Again):
            self.socket.sndtimeo = _LAST_WORDS_MS
            self._send_held()
            while self._later:
                self.send_with(self._later.popleft(), ())

    def _tick(self) -> float | None:
        """Send what is held back, if it is time. Returns in how many milliseconds it is time again."""
        if not self._armed:
            return None
        if time.monotonic() >= self._due:
            found = self._send_held()
            self._pause = TICK_SECONDS if found or not self._due else min(self._pause * 2, LONGEST_TICK_SECONDS)
            self.hurries = found
            self._armed = found or any(held.may_hold_more for held in self._holding)
            self._due = time.monotonic() + self._pause
        return max(self._due - time.monotonic(), 0.0) * 1000 if self._armed else None

    def _send_held(self) -> bool:
        found = [held.send_held() for held in self._holding]
        return any(found)

    def _begin_offspring(self) -> None:
        self.lock, self._busy = threading.RLock(), False
        self.session.pid = os.getpid()
        self.offspring.begin()
        self.hurries = True
        for held in self._holding:
            held.begin_offspring()
