"""Pages: by number, as some APIs have them, so many from so many on, and how many there are in all; or up to where the
page before has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select


class Numbered(Protocol):
    """A row that has its place in the order."""

    @property
    def number(self) -> int:
        """The place."""


Row = TypeVar("Row", bound=Numbered)


def cut(found: Sequence[Row], limit: int) -> tuple[list[Row], int | None]:
    """The page of `limit` rows, and the number before which the next one begins, None where none follows. One row more
    than the page has was looked for."""
    return list(found[:limit]), found[limit - 1].number if len(found) > limit else None


def page(
    connection: Connection, query: Select[Any], newest: ColumnElement[Any], offset: int, limit: int
) -> tuple[list[RowMapping], int]:
    """The rows of a query, those where `newest` is largest before the others, from `offset` on, and their number."""
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    found = connection.execute(query.order_by(newest.desc()).offset(offset).limit(limit)).mappings().all()
    return list(found), int(total)
