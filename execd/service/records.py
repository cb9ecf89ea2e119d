"""The records of all sandboxes: those that exist, those that have ended, and the keys that they were made with. Whoever
asks sees their own tenant's only. Each change is kept for the service that comes after this one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import anyio

from execd.errors import SandboxExpired, SandboxNotFound
from execd.service.caller import is_default, may_see, tenant
from execd.service.keeping import SandboxTrace, keep_sandbox
from execd.service.record import EndReason, SandboxRecord, SandboxStatus
from execd.service.registry import Registry, Write

_REMEMBERED = 1000


class Traced(Protocol):
    """What there is of a living sandbox that its record does not say: what its commands are marked with, and when it
    was used last (Unix ms)."""

    @property
    def mark(self) -> str:
        """What its commands are marked with."""

    @property
    def active_at(self) -> int:
        """When it was used last."""


class Records:
    """Every record by its sandbox's id; `living` are the sandboxes. `default` stands in no list."""

    def __init__(self, registry: Registry, living: Mapping[str, Traced]) -> None:
        self._registry = registry
        self._living = living
        self._existing: dict[str, SandboxRecord] = {}
        self._ended: OrderedDict[str, SandboxRecord] = OrderedDict()
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._changed = anyio.Event()

    def all(self) -> list[SandboxRecord]:
        """Those that exist, whoever's they are, from the oldest to the newest."""
        return [record for record in self._existing.values() if not is_default(record.id)]

    def get(self, sandbox_id: str) -> SandboxRecord:
        """One that exists. Raises SandboxNotFound; SandboxExpired when its time is over."""
        found = self._existing.get(sandbox_id)
        if found is not None and may_see(found.tenant):
            return found
        ended = self._ended.get(sandbox_id)
        if ended is None or ended.end is EndReason.DELETED or not may_see(ended.tenant):
            raise SandboxNotFound(sandbox_id)
        raise SandboxExpired(sandbox_id, ended.end or EndReason.LOST)

    def owner_of(self, sandbox_id: str) -> str:
        """Whose one is that exists, whoever asks."""
        return self._existing[sandbox_id].tenant

    def exists(self, sandbox_id: str) -> bool:
        """Whether there is one, whoever asks."""
        return sandbox_id in self._existing

    def made_with(self, key: str) -> SandboxRecord | None:
        """The one that was made with this key, if it still exists."""
        return self._existing.get(self._keys.get(_own(key), "")) if key else None

    def add(self, record: SandboxRecord, key: str = "") -> None:
        """A new one, which is kept from its first change on."""
        self.restore(record, _own(key) if key else "")

    def restore(self, record: SandboxRecord, whole_key: str) -> None:
        """One that is known already, with the key that was kept."""
        self._existing[record.id] = record
        if whole_key:
            self._keys[whole_key] = record.id
            _forget_oldest(self._keys)

    def drop(self, sandbox_id: str) -> None:
        """Forget one that has come to nothing."""
        del self._existing[sandbox_id]

    def change(self, sandbox_id: str, **changes: Any) -> SandboxRecord:
        """Change one. Raises SandboxNotFound, SandboxExpired."""
        record = self._existing[sandbox_id] = replace(self.get(sandbox_id), **changes)
        self.note(sandbox_id)
        self._changed.set()
        self._changed = anyio.Event()
        return record

    def end(self, sandbox_id: str, reason: EndReason, sandbox: Traced | None) -> SandboxRecord:
        """One has ended; `sandbox` is what is left of it."""
        record = replace(self._existing.pop(sandbox_id), status=SandboxStatus.ENDED, end=reason)
        self.remember(record)
        self.note(sandbox_id, record, sandbox)
        return record

    def lose(self, record: SandboxRecord) -> None:
        """One of an earlier service's is not there any more."""
        ended = replace(record, status=SandboxStatus.ENDED, end=EndReason.LOST)
        self.remember(ended)
        registry = self._registry
        registry.note(f"sandbox {record.id}", lambda: keep_sandbox(registry, ended, SandboxTrace("", "", 0)))

    def remember(self, record: SandboxRecord) -> None:
        """This one has ended."""
        if not is_default(record.id):
            self._ended[record.id] = record
            _forget_oldest(self._ended)

    def note(self, sandbox_id: str, ended: SandboxRecord | None = None, sandbox: Traced | None = None) -> None:
        """Have one kept as it is when it is looked at, or with this end."""

        def look() -> Write:
            record = ended or self._existing.get(sandbox_id)
            living = sandbox or self._living.get(sandbox_id)
            if record is None or living is None:
                return lambda _: None
            key = next((key for key, made in self._keys.items() if made == sandbox_id), "")
            return keep_sandbox(self._registry, record, SandboxTrace(living.mark, key, living.active_at))

        self._registry.note(f"sandbox {sandbox_id}", look)

    async def until_changed(self) -> None:
        """Return when any has changed."""
        await self._changed.wait()


def _own(key: str) -> str:
    """A key that another tenant's is not confused with."""
    return f"{tenant()} {key}"


def _forget_oldest(remembered: OrderedDict[str, Any]) -> None:
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)
