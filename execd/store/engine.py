"""Databases: SQLite in the data folder, or PostgreSQL by a URL.

SQLite works in WAL mode, where readers and the one writer do not wait for each other. `synchronous=NORMAL`: what was
committed survives whatever ends the service; a machine that loses its power may lose the last moments, and nothing
older is harmed (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from execd.errors import CannotServe

FILE = "execd.db"

_BUSY_SECONDS = 5.0


def database_url(given: str | None, folder: Path) -> URL:
    """Where the database is: at the URL that was given, or else a file in the folder. Raises CannotServe."""
    if not given:
        return URL.create("sqlite+pysqlite", database=str(folder / FILE))
    try:
        url = make_url(given)
    except ArgumentError:
        raise CannotServe(f"no database URL: {given.partition('://')[0][:20]!r}…; {_EXPECTED}") from None
    if url.get_backend_name() == "sqlite":
        return url.set(drivername="sqlite+pysqlite")
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise CannotServe(f"no database that execd knows: {url.drivername!r}; {_EXPECTED}")


def open_engine(url: URL) -> Engine:
    """An engine for this database; nothing is connected to yet. Raises CannotServe where a driver is missing."""
    try:
        if url.get_backend_name() == "sqlite":
            _make_private(url.database)
            engine = sqlalchemy.create_engine(url, connect_args={"isolation_level": None, "timeout": _BUSY_SECONDS})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        return sqlalchemy.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except (ImportError, NoSuchModuleError):
        raise CannotServe("there is no driver for PostgreSQL: pip install 'execd[postgresql]'") from None


def size_of(connection: Connection) -> int:
    """How many bytes the database takes."""
    if connection.dialect.name == "sqlite":
        pages: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        size: int = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
        return pages * size
    return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def _make_private(file: str | None) -> None:
    # The keys of kernels are in it, and sandboxes may be other users. What SQLite puts beside it gets the same mode.
    if file and file != ":memory:":
        with contextlib.suppress(OSError):  # SQLite says what is wrong with it.
            os.close(os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # Before the first table is made, or never: lets pages that are free be given back.
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA cache_size=-16384")
    connection.execute("PRAGMA journal_size_limit=67108864")


def _begin_sqlite(connection: Connection) -> None:
    # The driver would begin with the first write only, and then could not wait for another writer.
    begin = "BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN"
    connection.exec_driver_sql(begin)


_EXPECTED = "EXECD_DATABASE_URL is unset, or like postgresql://user:password@host/name"
