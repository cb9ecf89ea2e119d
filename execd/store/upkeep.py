"""The upkeep of a database from outside: brought up to date, looked over, made smaller. A service may run beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from execd.errors import CannotServe
from execd.store.engine import open_engine, size_of
from execd.store.failures import words_of
from execd.store.schema import HEAD, revision_of
from execd.store.store import prepare, remedy

T = TypeVar("T")

# Bytes that are given back at once: in between, a service gets to write.
_PAGES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a look at a database has found. `problems` is empty where all is well."""

    revision: str | None
    size: int
    problems: tuple[str, ...]


def upgrade(url: URL) -> tuple[str | None, str]:
    """Bring a database to the newest schema; returns the one that it had and the one that it has. Raises
    CannotServe."""
    engine = open_engine(url)
    try:
        return prepare(engine), HEAD
    finally:
        engine.dispose()


def check(url: URL) -> Soundness:
    """Look a database over. Raises CannotServe where that cannot be done."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            revision = revision_of(connection)
            return Soundness(revision, size_of(connection), (*_outdated(revision), *_broken(connection)))
    except SQLAlchemyError as error:
        said = words_of(error)
        raise CannotServe(f"the database cannot be read: {said}; {remedy(said)}") from None
    finally:
        engine.dispose()


def vacuum(url: URL) -> tuple[int, int]:
    """Give back the space of what was removed; returns the size before and after, in bytes. Raises CannotServe."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            before = size_of(connection)
        _give_back(engine)
        with engine.connect() as connection:
            return before, size_of(connection)
    except SQLAlchemyError as error:
        said = words_of(error)
        raise CannotServe(f"the database cannot be made smaller: {said}; {remedy(said)}") from None
    finally:
        engine.dispose()


def write(url: URL, work: Callable[[Connection], T]) -> T:
    """Do something in a transaction, in a database that has the newest schema then. Raises what the work raises, and
    CannotServe."""
    engine = open_engine(url)
    try:
        prepare(engine)
        with engine.execution_options(writes=True).begin() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        said = words_of(error)
        raise CannotServe(f"the database cannot be written to: {said}; {remedy(said)}") from None
    finally:
        engine.dispose()


def _outdated(revision: str | None) -> list[str]:
    if revision == HEAD:
        return []
    found = "has no schema" if revision is None else f"has schema {revision}, not {HEAD}"
    return [f"it {found}: `execd db upgrade` brings it up to date"]


def _broken(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    said = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    return [] if said == ["ok"] else [str(line) for line in said]


def _give_back(engine: Engine) -> None:
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql("VACUUM")
            return
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        while driver.execute("PRAGMA freelist_count").fetchone()[0]:
            # It works as long as it is asked for rows.
            driver.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
