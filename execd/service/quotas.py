"""Quotas: how much of a tenant's due is used, and the refusal of what is over it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from execd.errors import QuotaExceeded
from execd.service.caller import Limits, caller
from execd.store import artifacts, executions, tenants
from execd.store.store import Store

_BELIEVED_SECONDS = 5.0
_SOON = 1
_LATER = 60

Day = tuple[str, str]
"""A tenant and a day."""


def check(what: str, used: int, limit: int | None, retry_after: int = _SOON) -> None:
    """Raise QuotaExceeded if there is no room for one more."""
    if limit is not None and used >= limit:
        raise QuotaExceeded(what, used, limit, retry_after)


def check_count(what: str, count: Callable[[str], int]) -> None:
    """The same for who asks; `what` is one of the limits, and `count` how many a tenant has."""
    who = caller()
    if who is not None:
        limit = getattr(who.limits, what)
        if limit is not None:
            check(what, count(who.tenant), limit)


def day_of(now: datetime) -> str:
    """The day that use is counted on."""
    return now.strftime("%Y-%m-%d")


def until_tomorrow(now: datetime) -> int:
    """Seconds until use is counted anew."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return max(int((midnight - now).total_seconds()), 1)


class Quotas:
    """What tenants have used, as far as the store knows it, and what is on its way there."""

    def __init__(self, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock
        self._pending: Counter[Day] = Counter()
        self._stored: dict[str, tuple[float, int]] = {}

    def charge(self, tenant: str, cpu_seconds: float) -> None:
        """An execution of this tenant's has used so much."""
        self._pending[tenant, day_of(self._clock())] += round(cpu_seconds * 1000)

    def take(self) -> Counter[Day]:
        """What is to be kept now; `put_back` what could not be."""
        taken, self._pending = self._pending, Counter()
        return taken

    def put_back(self, taken: Counter[Day]) -> None:
        """This could not be kept."""
        self._pending += taken

    async def check_budgets(self) -> None:
        """Raise QuotaExceeded if who asks has used up its bytes or its CPU time. Raises StorageFull."""
        who = caller()
        if who is not None:
            await self._check_bytes(who.tenant, who.limits)
            await self._check_cpu(who.tenant, who.limits)

    async def _check_bytes(self, tenant: str, limits: Limits) -> None:
        if limits.stored_bytes is None:
            return
        until, used = self._stored.get(tenant, (float("-inf"), 0))
        if time.monotonic() >= until:
            used = await self._store.read(lambda connection: _stored(connection, tenant))
            self._stored[tenant] = (time.monotonic() + _BELIEVED_SECONDS, used)
        check("stored_bytes", used, limits.stored_bytes, _LATER)

    async def _check_cpu(self, tenant: str, limits: Limits) -> None:
        if limits.cpu_seconds is None:
            return
        now = self._clock()
        day = day_of(now)
        kept = await self._store.read(lambda connection: tenants.spent(connection, tenant, day))
        check("cpu_seconds", (kept + self._pending[tenant, day]) // 1000, limits.cpu_seconds, until_tomorrow(now))


def keep(connection: Connection, taken: Counter[Day]) -> None:
    """Add to what tenants have used."""
    for (tenant, day), cpu_ms in taken.items():
        tenants.spend(connection, tenant, day, cpu_ms)


def _stored(connection: Connection, tenant: str) -> int:
    return executions.stored_bytes(connection, tenant) + artifacts.stored_bytes(connection, tenant)
