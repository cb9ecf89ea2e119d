"""The store of a service: one database, opened, read from and written to."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

import anyio
import structlog
from anyio import to_thread
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from execd.errors import CannotServe
from execd.store.engine import open_engine
from execd.store.failures import storage_error, words_of
from execd.store.schema import HEAD, upgrade
from execd.store.writer import Writer

log = structlog.get_logger(__name__)

T = TypeVar("T")

_READERS = 8
_UPGRADE_LOCK = 44772


class Store:
    """A database with the newest schema. Work is a function of a SQLAlchemy connection; it runs in a thread, so it may
    touch nothing that belongs to the event loop."""

    def __init__(self, engine: Engine, node: str) -> None:
        self.node = node
        """Who this service is among those that share the database."""
        self._engine = engine
        self._writer = Writer(engine)
        self._readers = anyio.CapacityLimiter(_READERS)

    @classmethod
    @contextmanager
    def open(cls, url: URL, node: str) -> Iterator[Store]:
        """The store while the block runs, with the newest schema. Raises CannotServe."""
        engine = open_engine(url)
        try:
            prepare(engine)
            store = cls(engine, node)
            try:
                yield store
            finally:
                store._writer.close()
        finally:
            engine.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do this in a transaction; returns when it is committed. The work may be done twice, the first time undone.
        Raises what it raises, and StorageFull where nothing can be kept."""
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """The same, for who does not wait in the event loop."""
        return self._writer.submit(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do this in a transaction that only reads. Raises what it raises, and StorageFull where nothing can be had."""
        return await to_thread.run_sync(self._read, work, limiter=self._readers)

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            raise storage_error(error) from error


def prepare(engine: Engine) -> str | None:
    """Bring a database to the newest schema; returns the one that it had. Raises CannotServe, which says what is wrong
    with it."""
    try:
        with engine.execution_options(writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                # Another service may be doing the same.
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
            before = upgrade(connection)
    except (DBAPIError, sqlite3.Error) as error:
        said = words_of(error) if isinstance(error, SQLAlchemyError) else str(error)
        raise CannotServe(f"the database cannot be used: {said}; {remedy(said)}") from None
    if before not in (None, HEAD):
        log.info("database_upgraded", before=before, after=HEAD)
    return before


def remedy(said: str) -> str:
    """What to do about what a database says."""
    for words, advice in _REMEDIES.items():
        if words in said:
            return advice
    return "see that it can be reached and written to, or name another one by EXECD_DATABASE_URL"


_REMEDIES = {
    "locked": "another program holds it: end that program and try again",
    "not a database": "its file is damaged: put a copy back, or move it away to begin anew",
    "malformed": "its file is damaged: put a copy back, or move it away to begin anew; `execd db check` says more",
    "full": "free some disk space and try again",
    "readonly": "let the service's user write to it and its folder",
    "unable to open": "let the service's user write to it and its folder",
    "connect": "see that the server runs and that EXECD_DATABASE_URL is right",
}
