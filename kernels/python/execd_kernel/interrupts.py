"""An interrupt stops what a cell runs, and nothing else.

Stock ipykernel lets SIGINT raise anywhere while a request is handled. Before the cell's code, or after it, that costs
the reply; a moment later, the kernel. While a cell has a pending top-level `await`, stock only takes note of it.
"""

import _thread
import os
import signal
import threading
import time
from asyncio import Future
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from IPython.core.events import EventManager
from IPython.core.interactiveshell import InteractiveShell

_SOON_SECONDS = 0.001

STOP = compile("raise KeyboardInterrupt", "<interrupt>", "exec")
"""What runs in place of a cell's code when the interrupt came before it."""


class Interrupts:
    """The handler of SIGINT. It raises in the code of a cell and in callbacks that IPython guards, cancels a pending
    `await`, and remembers what comes before the code. What comes after it is forgotten."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._pid = os.getpid()
        self._wanted = False
        self._begun = False
        self._awaited: Future[Any] | None = None

    def install(self) -> None:
        """Handle SIGINT from now on, and forget what came before."""
        signal.signal(signal.SIGINT, self.handle)
        self._wanted = False

    def begin(self) -> bool:
        """Whether an interrupt came before the code that is about to run; it is used up by that. What comes from now on
        is meant for the code, until `end`."""
        self._begun = True
        wanted, self._wanted = self._wanted, False
        return wanted

    def end(self) -> None:
        """The code has ended."""
        self._begun = False

    @contextmanager
    def cancelling(self, future: Future[Any]) -> Iterator[None]:
        """Let an interrupt cancel `future` where no code of the cell is on the stack."""
        self._awaited = future
        try:
            yield
        finally:
            self._awaited = None

    def handle(self, _signum: int, frame: FrameType | None) -> None:
        """Called by Python in the main thread, between two instructions of `frame`."""
        if os.getpid() != self._pid or self._may_raise(frame):
            raise KeyboardInterrupt
        # For the part of the cell that comes next, if there is one.
        self._wanted = True
        if self._awaited is not None:
            # Wakes the loop, which a plain callback would not.
            self._awaited.get_loop().call_soon_threadsafe(self._awaited.cancel)
        if self._begun and _is_within_run_code(frame):
            # On the way into code, or out of it.
            _thread.start_new_thread(_interrupt_again, ())

    def _may_raise(self, frame: FrameType | None) -> bool:
        below: FrameType | None = None
        while frame is not None:
            if below is not None and self._guards(frame, below):
                return True
            below, frame = frame, frame.f_back
        return False

    def _guards(self, frame: FrameType, below: FrameType) -> bool:
        if frame.f_code is InteractiveShell.run_code.__code__:
            return below.f_globals is self._shell.user_global_ns
        return frame.f_code is EventManager.trigger.__code__


def _is_within_run_code(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name != "run_code":
        frame = frame.f_back
    return frame is not None


def _interrupt_again() -> None:
    time.sleep(_SOON_SECONDS)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def hide_handler(trace: TracebackType | None) -> None:
    """Let a traceback end where the code was when the interrupt came."""
    while trace is not None:
        if trace.tb_next is not None and trace.tb_next.tb_frame.f_code is Interrupts.handle.__code__:
            trace.tb_next = None
        trace = trace.tb_next
