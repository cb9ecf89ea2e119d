"""Pages by number, as some APIs have them: so many from so many on, and how many there are in all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select


def page(
    connection: Connection, query: Select[Any], newest: ColumnElement[Any], offset: int, limit: int
) -> tuple[list[RowMapping], int]:
    """The rows of a query, those where `newest` is largest before the others, from `offset` on, and their number."""
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    found = connection.execute(query.order_by(newest.desc()).offset(offset).limit(limit)).mappings().all()
    return list(found), int(total)
