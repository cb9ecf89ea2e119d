"""What a thread prints or displays belongs to the cell that started it, also after that cell has ended.

ipykernel takes a thread's output for the cell's that happens to run. A pool's thread works for the cell that gave it
its present job.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def install(shell: Any) -> None:
    """Let every thread and every job of a thread pool remember its cell from now on."""
    _remember_in_threads(shell, threading.Thread.start)
    _remember_in_pools(shell, ThreadPoolExecutor.submit)


def _remember_in_threads(shell: Any, stock: Callable[[threading.Thread], None]) -> None:
    def start(self: threading.Thread) -> None:
        cell, run = shell.get_parent(), self.run

        def run_for_the_cell() -> None:
            shell.set_thread_parent(cell)
            run()

        self.run = run_for_the_cell  # type: ignore[method-assign]
        stock(self)

    threading.Thread.start = start  # type: ignore[method-assign]


def _remember_in_pools(shell: Any, stock: Callable[..., Future[Any]]) -> None:
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        cell = shell.get_parent()

        def work_for_the_cell() -> Any:
            before = shell.set_thread_parent(cell)
            try:
                return fn(*args, **kwargs)
            finally:
                shell.reset_thread_parent(before)

        return stock(self, work_for_the_cell)

    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign, assignment]
