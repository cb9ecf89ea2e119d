"""The warden's loop: descriptors to watch, signals, and a clock."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import sys
import time
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT


class Loop:
    """Calls back when descriptors are ready, in one thread, until it is stopped."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._numbers = itertools.count()
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._running = True
        self._signals: dict[int, Callable[[], None]] = {}
        self._told, tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        self.watch(self._told, self._heed_signals)

    def on_signal(self, signum: signal.Signals, callback: Callable[[], None]) -> None:
        """Call back, between other callbacks, after this signal has come."""
        signal.signal(signum, lambda *_: None)
        self._signals[signum] = callback

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back while `fd` can be read or has hung up."""
        self._callbacks[fd] = callback
        self._epoll.register(fd, READ)

    def want(self, fd: int, events: int) -> None:
        """Call back for these events from now on."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch it no longer; to be called before it is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once after a time, unless the function that is returned is called before."""
        alarm = (time.monotonic() + seconds, next(self._numbers), callback)
        self._alarms.append(alarm)
        self._alarms.sort()

        def cancel() -> None:
            with contextlib.suppress(ValueError):
                self._alarms.remove(alarm)

        return cancel

    def stop(self) -> None:
        """Let `run` return."""
        self._running = False

    def run(self) -> None:
        """Go on until stopped."""
        while self._running:
            for fd, _ in self._epoll.poll(self._patience()):
                callback = self._callbacks.get(fd)
                if callback is not None and self._running:
                    self._call(callback)
            self._ring()

    def _heed_signals(self) -> None:
        came = b""
        with contextlib.suppress(BlockingIOError):
            came = os.read(self._told, 65536)
        for signum in set(came):
            self._call(self._signals.get(signum, lambda: None))

    def _patience(self) -> float:
        return max(self._alarms[0][0] - time.monotonic(), 0) if self._alarms else -1

    def _ring(self) -> None:
        while self._running and self._alarms and self._alarms[0][0] <= time.monotonic():
            self._call(self._alarms.pop(0)[2])

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001 - what is wrong in one place must not end every sandbox
            sys.excepthook(*sys.exc_info())
