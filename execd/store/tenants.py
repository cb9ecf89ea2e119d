"""Tenants, their keys and what they have used, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, update

from execd.store.tables import keys, tenants, usage


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant. `limits` by their names; times are Unix ms."""

    id: str
    name: str
    created_at: int
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key. `hint` is how its text begins, `digest` the SHA-256 of the whole."""

    id: str
    tenant: str
    name: str
    hint: str
    digest: str
    scopes: Sequence[str]
    limits: Mapping[str, int]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def good_at(self, now: int) -> bool:
        """Whether it opens anything at this time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Holder:
    """A key with the tenant that it belongs to."""

    key: KeyRow
    tenant: TenantRow


def tenant_named(connection: Connection, name: str) -> TenantRow | None:
    """The tenant with this name."""
    found = connection.execute(select(tenants).where(tenants.c.name == name)).mappings().one_or_none()
    return None if found is None else TenantRow(**found)


def put_tenant(connection: Connection, row: TenantRow) -> None:
    """Keep a tenant as it is now."""
    changed = update(tenants).where(tenants.c.id == row.id).values(**asdict(row))
    if not connection.execute(changed).rowcount:
        connection.execute(insert(tenants).values(**asdict(row)))


def all_tenants(connection: Connection) -> list[TenantRow]:
    """Every tenant, from the oldest on."""
    found = connection.execute(select(tenants).order_by(tenants.c.created_at, tenants.c.id)).mappings()
    return [TenantRow(**row) for row in found]


def set_limits(connection: Connection, name: str, limits: Mapping[str, int]) -> bool:
    """Give the tenant with this name other limits; whether there is one."""
    return connection.execute(update(tenants).where(tenants.c.name == name).values(limits=dict(limits))).rowcount > 0


def add_key(connection: Connection, row: KeyRow) -> None:
    """Insert a new key."""
    connection.execute(insert(keys).values(**asdict(row) | {"scopes": list(row.scopes)}))


def revoke_key(connection: Connection, key_id: str, now: int) -> bool:
    """Let a key open nothing from now on; whether there was one that did."""
    wanted = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
    return connection.execute(wanted).rowcount > 0


def all_keys(connection: Connection) -> list[Holder]:
    """Every key that there ever was, from the oldest on."""
    return [_holder(found) for found in connection.execute(_HELD.order_by(keys.c.created_at, keys.c.id)).mappings()]


def key_with(connection: Connection, digest: str) -> Holder | None:
    """The key with this digest."""
    found = connection.execute(_HELD.where(keys.c.digest == digest)).mappings().one_or_none()
    return None if found is None else _holder(found)


def any_key(connection: Connection) -> bool:
    """Whether there was ever a key."""
    return connection.execute(select(keys.c.id).limit(1)).scalar_one_or_none() is not None


def spend(connection: Connection, tenant: str, day: str, cpu_ms: int) -> None:
    """Add to what a tenant has used on a day."""
    if not connection.execute(_SPEND, {"whose": tenant, "when": day, "more": cpu_ms}).rowcount:
        connection.execute(insert(usage).values(tenant=tenant, day=day, cpu_ms=cpu_ms))


def spent(connection: Connection, tenant: str, day: str) -> int:
    """How many ms of CPU a tenant has used on a day."""
    query = select(func.coalesce(func.sum(usage.c.cpu_ms), 0)).where(usage.c.tenant == tenant, usage.c.day == day)
    return int(connection.execute(query).scalar_one())


def forget_usage(connection: Connection, before: str) -> None:
    """Remove what was used before a day."""
    connection.execute(delete(usage).where(usage.c.day < before))


def _holder(found: Mapping[Any, Any]) -> Holder:
    mine = {name: found[f"keys_{name}"] for name in keys.c.keys()}  # noqa: SIM118  # not a dict
    theirs = {name: found[f"tenants_{name}"] for name in tenants.c.keys()}  # noqa: SIM118  # not a dict
    return Holder(KeyRow(**mine), TenantRow(**theirs))


def _held() -> Select[Any]:
    columns = [column.label(f"{table.name}_{column.name}") for table in (keys, tenants) for column in table.c]
    return select(*columns).join(tenants, keys.c.tenant == tenants.c.id)


_HELD = _held()
_SPEND = (
    update(usage)
    .where(usage.c.tenant == bindparam("whose"), usage.c.day == bindparam("when"))
    .values(cpu_ms=usage.c.cpu_ms + bindparam("more"))
)
