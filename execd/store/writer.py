"""The one thread that writes: what waits at the same moment is committed together.

    write(work) ──▶ queue ──▶ thread: BEGIN, work, work, …, COMMIT ──▶ every caller's future

So a commit costs what it costs once, whoever waits for it, and each caller knows that its work is kept when `write`
returns. Work that fails is tried again alone, and hurts nobody else's.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from execd.store.failures import storage_error

T = TypeVar("T")
Work = Callable[[Connection], T]

_MOST_TOGETHER = 256


class Writer:
    """Writes to one database until it is closed. Its methods may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(writes=True)
        self._queue: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Future[T]:
        """Have this work done and committed. The future raises what the work raises, or StorageFull."""
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future

    def close(self) -> None:
        """Do what waits, and end. Safe to call twice."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        open_ = True
        while open_:
            batch = [self._queue.get()]
            while len(batch) < _MOST_TOGETHER and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            open_ = batch[-1] is not None
            self._commit([item for item in batch if item is not None])

    def _commit(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        batch = [(work, future) for work, future in batch if future.set_running_or_notify_cancel()]
        if not batch:
            return
        try:
            results = self._done([work for work, _ in batch])
        except Exception as error:  # noqa: BLE001  # whoever waits for it gets it
            if len(batch) == 1:
                batch[0][1].set_exception(storage_error(error) if isinstance(error, SQLAlchemyError) else error)
            else:
                self._commit_apart(batch)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _commit_apart(self, batch: list[tuple[Work[Any], Future[Any]]]) -> None:
        for work, future in batch:
            try:
                [result] = self._done([work])
            except SQLAlchemyError as error:
                future.set_exception(storage_error(error))
            except Exception as error:  # noqa: BLE001  # the same
                future.set_exception(error)
            else:
                future.set_result(result)

    def _done(self, works: list[Work[Any]]) -> list[Any]:
        with self._engine.begin() as connection:
            return [work(connection) for work in works]
