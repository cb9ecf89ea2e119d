"""The interactive shell: everything that stock keeps on disk stays in memory, and interrupts hit code of cells only."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

from ipykernel import zmqshell
from IPython.core.history import HistoryManager
from traitlets import observe

from execd_kernel.interrupts import Interrupts, hide_handler
from execd_kernel.output import OutStream
from execd_kernel.profile import ProfileStore

_RUN_CODE = zmqshell.ZMQInteractiveShell.run_code.__code__


class ZMQInteractiveShell(zmqshell.ZMQInteractiveShell):
    """ipykernel's shell without banner, history file and profile store.

    In, Out, `_` and `%history` work on what this kernel has run. The class keeps the name of its parent: rich and
    others know a notebook by it.
    """

    @property
    def banner(self) -> str:
        """Nothing: no person looks at a service's kernel starting."""
        return ""

    def init_ipython_dir(self, ipython_dir: str | None) -> None:
        """Take the application's folder, as it is."""
        kernel: Any = self.parent
        self.ipython_dir = ipython_dir or kernel.parent.ipython_dir

    @observe("ipython_dir")
    def _ipython_dir_changed(self, change: dict[str, Any]) -> None:
        """Leave the folder unmade."""

    def init_instance_attrs(self) -> None:
        """Keep what magics remember in memory."""
        super().init_instance_attrs()  # type: ignore[no-untyped-call]
        self.interrupts = Interrupts(self)
        self.threads_of_our_own = 0
        self.db = ProfileStore()

    def init_history(self) -> None:
        """Keep the history in lists, without the database that stock writes each cell to."""
        history: Any = HistoryManager(shell=self, parent=self, enabled=False)
        self.history_manager = history
        self.configurables.append(history)

    @contextmanager
    def _tee(self, channel: str) -> Iterator[None]:  # noqa: ARG002
        """Keep no copy of what is printed: IPython has one of everything, for `%notebook`, as long as the kernel
        lives, and a method of its own in place of the stream's."""
        yield

    def begin_here(self) -> None:
        """Be where the process is now, as if started there."""
        self.starting_dir = str(Path.cwd())
        history: Any = self.history_manager
        history.dir_hist[:] = [Path.cwd()]

    def run_silently(self) -> None:
        """Run a cell that leaves no trace in the history, the namespace and the count: the first real one finds caches
        filled, modules imported and pages in place."""
        self.run_cell("1+1", silent=True)  # type: ignore[no-untyped-call]
        self.last_execution_result = None

    async def run_code(self, code_obj: CodeType, result: Any = None, *, async_: bool = False) -> bool:
        """Run a part of a cell, which writes to buffers in C where nobody else may write meanwhile."""
        quick = () if async_ or self._others_may_write() else self._streams()
        try:
            for stream in quick:
                stream.be_quick()
            failed: bool = await super().run_code(code_obj, result, async_=async_)  # type: ignore[no-untyped-call]
        finally:
            for stream in quick:
                stream.be_slow()
        return failed

    @property
    def user_global_ns(self) -> dict[str, Any]:
        """What cells find as their globals. `run_code` asks for it right before it runs a statement, where an error
        would be the statement's own: the last moment to heed an interrupt that came before. After it Python lets no
        handler run until it is in the statement."""
        if sys._getframe(1).f_code is _RUN_CODE:
            self.interrupts.check()
        found: dict[str, Any] = self.user_module.__dict__
        return found

    def _streams(self) -> tuple[OutStream, ...]:
        kernel: Any = self.kernel
        return tuple(stream for stream in (kernel._stdout, kernel._stderr) if isinstance(stream, OutStream))

    def _others_may_write(self) -> bool:
        """Whether what is written in the next moments may be of an earlier cell: of its threads, or of its tasks, where
        a loop can run inside of another."""
        return (
            threading.active_count() > self.threads_of_our_own
            or threading.current_thread() is not threading.main_thread()
            or "nest_asyncio" in sys.modules
        )

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        """Show an error, an interrupt without its handler."""
        hide_handler((sys.exc_info() if exc_tuple is None else exc_tuple)[2])
        super().showtraceback(exc_tuple, *args, **options)
