"""An interrupt stops what a cell runs, and nothing else.

Stock ipykernel lets SIGINT raise anywhere while a request is handled. Before the cell's code, or after it, that costs
the reply; a moment later, the kernel. While a cell has a pending top-level `await`, stock only takes note of it.
"""

import os
import signal
from asyncio import Future
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from IPython.core.events import EventManager
from IPython.core.interactiveshell import InteractiveShell


class Interrupts:
    """The handler of SIGINT. It raises in the code of a cell and in callbacks that IPython guards, cancels a pending
    `await`, and remembers what comes before the code or between two of its statements, each of which IPython runs for
    itself: the next one is not begun. What comes after the code is forgotten."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._pid = os.getpid()
        self._wanted = False
        self._awaited: Future[Any] | None = None

    def install(self) -> None:
        """Handle SIGINT from now on, and forget what came before."""
        signal.signal(signal.SIGINT, self.handle)
        self._wanted = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if an interrupt came that has stopped nothing yet; it is used up by that."""
        if self._take():
            raise KeyboardInterrupt

    def _take(self) -> bool:
        wanted, self._wanted = self._wanted, False
        return wanted

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
        self._wanted = True
        if self._awaited is not None:
            # Wakes the loop, which a plain callback would not.
            self._awaited.get_loop().call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        # Nothing for what has kept a statement from beginning meanwhile.
        if self._awaited is not None and self._take():
            self._awaited.cancel()

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


def hide_handler(trace: TracebackType | None) -> None:
    """Let a traceback end where the code was when the interrupt came."""
    while trace is not None:
        if trace.tb_next is not None and trace.tb_next.tb_frame.f_code in _OURS:
            trace.tb_next = None
        trace = trace.tb_next


_OURS = (Interrupts.handle.__code__, Interrupts.check.__code__)
