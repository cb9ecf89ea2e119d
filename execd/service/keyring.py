"""The keyring: which keys there are, who a key's holder is, and who has tried too many that are none.

A key is `exd_` and 43 characters that nobody guesses. The store has its SHA-256 only. What the store said of a key is
believed for two seconds, so one that is revoked, by whatever process, opens nothing after that.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

from execd.errors import InvalidRequest
from execd.identifiers import new_id
from execd.service.caller import EVERYTHING, Caller, Limits, Scope
from execd.service.execution import DEFAULT_TENANT
from execd.service.journal import now_ms
from execd.settings import Settings
from execd.store import tenants as rows
from execd.store.store import Store
from execd.store.tenants import Holder, KeyRow, TenantRow

BELIEVED_SECONDS = 2.0
WRONG_TRIES = 3
TRIES_SECONDS = 60.0
BLOCKED_SECONDS = 60.0

_PREFIX = "exd_"
_HINT = 10
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key to be made, for a tenant that is made when there is none of this name."""

    tenant: str
    name: str = ""
    scopes: frozenset[Scope] = EVERYTHING
    limits: Limits = field(default_factory=Limits)
    expires_at: int | None = None


def digest_of(text: str) -> str:
    """What the store has of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def limits_of(given: Mapping[str, object]) -> Limits:
    """Limits by their names. Raises InvalidRequest for a name or a number that means nothing."""
    known = [column.name for column in fields(Limits)]
    for name, value in given.items():
        if name not in known:
            raise InvalidRequest(f"expected one of {', '.join(known)}, got {name[:40]!r}", "limits")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidRequest("expected a whole number from 0 on", f"limits.{name}")
    return Limits(**{name: int(str(value)) for name, value in given.items()})


def new_key(wanted: KeyRequest, tenant_id: str, now: int) -> tuple[str, KeyRow]:
    """The text of a new key, which is nowhere else, and its row."""
    text = _PREFIX + secrets.token_urlsafe(32)
    given = {column.name: getattr(wanted.limits, column.name) for column in fields(Limits)}
    row = KeyRow(
        id=new_id("key"),
        tenant=tenant_id,
        name=wanted.name,
        hint=text[:_HINT],
        digest=digest_of(text),
        scopes=sorted(scope.value for scope in wanted.scopes),
        limits={name: value for name, value in given.items() if value is not None},
        created_at=now,
        expires_at=wanted.expires_at,
    )
    return text, row


def tenant_to_be(known: TenantRow | None, name: str, now: int) -> TenantRow:
    """The tenant of a name: the one that is known, or a new one. The operator's own is `default`."""
    if known is not None:
        return known
    return TenantRow(DEFAULT_TENANT if name == DEFAULT_TENANT else new_id("tnt"), name, now)


class Attempts:
    """Who has tried wrong keys lately, by address. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def wrong(self, address: str) -> float | None:
        """A wrong key came from there: for how many seconds nothing more is to be heard from it, if that is so."""
        now = self._clock()
        tries = self._tries.setdefault(address, deque(maxlen=WRONG_TRIES))
        self._tries.move_to_end(address)
        while len(self._tries) > _MOST:
            self._tries.popitem(last=False)
        if len(tries) == WRONG_TRIES and now < tries[-1] + BLOCKED_SECONDS and tries[-1] - tries[0] <= TRIES_SECONDS:
            return tries[-1] + BLOCKED_SECONDS - now
        tries.append(now)
        full = len(tries) == WRONG_TRIES and now - tries[0] <= TRIES_SECONDS
        return BLOCKED_SECONDS if full else None


class Keyring:
    """The keys of a store. `operator` is who asks with the service's own token, or where there is neither token nor
    key."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.operator = Caller(limits=default_limits(settings))
        self.attempts = Attempts(clock)
        self._store = store
        self._clock = clock
        self._believed: OrderedDict[str, tuple[float, Holder | None]] = OrderedDict()
        self._closed = False
        self._looked = float("-inf")

    async def closed(self) -> bool:
        """Whether there was ever a key: then one is wanted, even if all were revoked. Raises StorageFull."""
        if not self._closed and self._clock() - self._looked > BELIEVED_SECONDS:
            self._closed = await self._store.read(rows.any_key)
            self._looked = self._clock()
        return self._closed

    async def find(self, text: str) -> Caller | None:
        """Whose key this is, None where it is nobody's. Raises StorageFull."""
        digest = digest_of(text)
        until, holder = self._believed.get(digest, (float("-inf"), None))
        if self._clock() >= until:
            holder = await self._store.read(lambda connection: rows.key_with(connection, digest))
            self._believed[digest] = (self._clock() + BELIEVED_SECONDS, holder)
            while len(self._believed) > _MOST:
                self._believed.popitem(last=False)
        if holder is None or not holder.key.good_at(now_ms()):
            return None
        return self._caller(holder)

    def _caller(self, holder: Holder) -> Caller:
        limits = self.operator.limits
        for given in (holder.tenant.limits, holder.key.limits):
            limits = limits.narrowed(limits_of(given))
        scopes = frozenset(Scope(scope) for scope in holder.key.scopes)
        return replace(self.operator, tenant=holder.tenant.id, scopes=scopes, limits=limits, key_id=holder.key.id)


def default_limits(settings: Settings) -> Limits:
    """What every tenant may have for whom nothing else is said."""
    return Limits(
        settings.quota_executions or None,
        settings.quota_sandboxes or None,
        settings.quota_contexts or None,
        settings.quota_stored_bytes or None,
        settings.quota_cpu_seconds or None,
    )
