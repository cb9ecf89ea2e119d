"""Artifacts as rows: what there is to say of each, and which contents (execd.store.blobs) they refer to.

An artifact is there as long as the execution that made it is, and no longer than its time: a row that has outlived
either is found by no query but by those that remove it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, exists, func, insert, or_, select

from execd.store.tables import artifacts, executions


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One artifact. `detail` is what else there is to say, as JSON; `number` grows with every row. Times are Unix ms,
    the size bytes, the hash hexadecimal."""

    id: str
    tenant: str
    sandbox_id: str
    context_id: str | None
    execution_id: str
    execution_count: int | None
    kind: str
    mime_type: str
    name: str
    size: int
    sha256: str
    created_at: int
    expires_at: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class WantedArtifacts:
    """Which artifacts; what is None does not matter."""

    tenant: str | None = None
    sandbox_id: str | None = None
    context_id: str | None = None
    execution_id: str | None = None
    execution_count: int | None = None
    kind: str | None = None


def add(connection: Connection, rows: Sequence[ArtifactRow]) -> None:
    """Insert new ones, in this order."""
    values = [asdict(row) for row in rows]
    for value in values:
        del value["number"]
    if values:
        connection.execute(insert(artifacts), values)


def get(connection: Connection, artifact_id: str, now: int) -> ArtifactRow | None:
    """The one with this id."""
    query = _living(select(artifacts), now).where(artifacts.c.id == artifact_id)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _row(found)


def page(
    connection: Connection, wanted: WantedArtifacts, now: int, limit: int, before: int | None = None
) -> list[ArtifactRow]:
    """At most `limit` of them, the newest first; after a page the next begins `before` its last one's number."""
    query = _living(select(artifacts), now).order_by(artifacts.c.number.desc()).limit(limit)
    for name in _FILTERS:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(artifacts.c[name] == value)
    if before is not None:
        query = query.where(artifacts.c.number < before)
    return [_row(found) for found in connection.execute(query).mappings()]


def remove(connection: Connection, artifact_ids: Collection[str]) -> list[str]:
    """Remove these; the hashes that they had."""
    hashes: set[str] = set()
    for some in _pieces(list(artifact_ids)):
        hashes.update(connection.execute(select(artifacts.c.sha256).where(artifacts.c.id.in_(some))).scalars())
        connection.execute(delete(artifacts).where(artifacts.c.id.in_(some)))
    return sorted(hashes)


def outlived(connection: Connection, now: int) -> list[str]:
    """The ids of those whose time is over, or whose execution is gone."""
    gone = ~exists().where(executions.c.id == artifacts.c.execution_id)
    late = artifacts.c.expires_at.is_not(None) & (artifacts.c.expires_at <= now)
    return list(connection.execute(select(artifacts.c.id).where(or_(gone, late))).scalars())


def beyond(connection: Connection, tenant: str, size: int) -> list[str]:
    """The ids of those that a tenant may not keep: the oldest, as far as all that are newer take more than `size`
    bytes. Content that occurs twice counts once. The newest stays, however large it is."""
    query = select(artifacts.c.id, artifacts.c.sha256, artifacts.c.size).where(artifacts.c.tenant == tenant)
    kept = 0
    seen: set[str] = set()
    gone: list[str] = []
    for artifact_id, sha256, own_size in connection.execute(query.order_by(artifacts.c.number.desc())):
        if sha256 not in seen:
            kept += own_size
        if kept > size and seen:
            gone.append(artifact_id)
        seen.add(sha256)
    return gone


def tenants(connection: Connection) -> list[str]:
    """Who has any."""
    return list(connection.execute(select(artifacts.c.tenant).distinct()).scalars())


def unreferenced(connection: Connection, hashes: Iterable[str]) -> list[str]:
    """Those of the hashes that no artifact has."""
    wanted = list(hashes)
    found: set[str] = set()
    for some in _pieces(wanted):
        found.update(connection.execute(select(artifacts.c.sha256).where(artifacts.c.sha256.in_(some))).scalars())
    return [sha256 for sha256 in wanted if sha256 not in found]


def stored_bytes(connection: Connection, tenant: str) -> int:
    """How much the artifacts of a tenant take; content that occurs twice counts once."""
    contents = select(artifacts.c.sha256, artifacts.c.size).where(artifacts.c.tenant == tenant).distinct().subquery()
    return int(connection.execute(select(func.coalesce(func.sum(contents.c.size), 0))).scalar_one())


def _living(query: Select[Any], now: int) -> Select[Any]:
    columns = artifacts.c
    return query.where(
        exists().where(executions.c.id == columns.execution_id),
        or_(columns.expires_at.is_(None), columns.expires_at > now),
    )


def _row(found: RowMapping) -> ArtifactRow:
    return ArtifactRow(**{name: found[name] for name in _FIELDS})


def _pieces(values: list[str]) -> list[list[str]]:
    return [values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE)]


_AT_ONCE = 500
_FIELDS = tuple(column.name for column in fields(ArtifactRow))
_FILTERS = tuple(column.name for column in fields(WantedArtifacts))
