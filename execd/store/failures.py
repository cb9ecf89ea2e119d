"""What a database fails with, in execd's words."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from execd.errors import StorageFull, StoreUnusable

# SQLite's words, those of PostgreSQL, and the system's.
_NO_ROOM = ("disk is full", "could not extend file", "no space left", "quota exceeded")


def storage_error(error: SQLAlchemyError) -> StorageFull:
    """That nothing can be kept, and why: the driver's own words, without the statement and its values."""
    said = words_of(error)
    return StorageFull(said) if any(words in said.lower() for words in _NO_ROOM) else StoreUnusable(said)


def words_of(error: SQLAlchemyError) -> str:
    """What the driver says, on one line."""
    said = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return " ".join(said.split())[:300] or type(error).__name__
