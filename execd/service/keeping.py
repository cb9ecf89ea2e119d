"""What is kept of sandboxes and contexts, as rows, for the service that comes after this one; and what a row says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from execd.kernel.trace import to_json
from execd.service.context import Context
from execd.service.contexts import Keep
from execd.service.journal import now_ms
from execd.service.record import SandboxRecord, SandboxStatus
from execd.service.record_codec import record_to_json
from execd.service.registry import SOON_SECONDS, Registry, Write
from execd.store.living import (
    ContextRow,
    SandboxRow,
    put_context,
    put_sandbox,
    remove_context,
    remove_contexts_of,
)


@dataclass(frozen=True, slots=True)
class SandboxTrace:
    """What finding a sandbox again takes besides its record: what its commands are marked with, the key that it was
    made with, and when it was used last (Unix ms)."""

    mark: str
    key: str
    active_at: int

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> SandboxTrace:
        """From a row. Raises KeyError, TypeError, ValueError."""
        return cls(str(saved["mark"]), str(saved["key"]), int(saved["active_at"]))


@dataclass(frozen=True, slots=True)
class ContextRecord:
    """What is known of a context. `kind` is context or session; `default`: it is its language's; times are Unix ms."""

    kind: str
    language: str
    cwd: Path
    default: bool
    generation: int
    state_lost: str | None
    idle_since: int
    name: str | None = None

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> ContextRecord:
        """From a row. Raises KeyError, TypeError, ValueError."""
        return cls(
            str(saved["kind"]),
            str(saved["language"]),
            Path(saved["cwd"]),
            bool(saved["default"]),
            int(saved["generation"]),
            saved["state_lost"],
            int(saved["idle_since"]),
            saved.get("name"),
        )

    def to_json(self) -> dict[str, Any]:
        """For a row."""
        return {
            "kind": self.kind,
            "language": self.language,
            "cwd": str(self.cwd),
            "default": self.default,
            "generation": self.generation,
            "state_lost": self.state_lost,
            "idle_since": self.idle_since,
            "name": self.name,
        }


class ContextKeep(Keep):
    """Keeps the contexts of a sandbox, or its sessions."""

    def __init__(self, identify: Callable[[], str], registry: Registry, sandbox_id: str, kind: str) -> None:
        super().__init__(identify)
        self._registry = registry
        self._sandbox_id = sandbox_id
        self._kind = kind

    def note(self, context: Context, *, default: bool, within: float = SOON_SECONDS) -> None:
        """It is new, or not as it was."""
        self._registry.note(f"context {context.id}", partial(self._look, context, default), within)

    def forget(self, context: Context) -> None:
        """It is no more."""
        self._registry.note(f"context {context.id}", lambda: partial(remove_context, context_id=context.id))

    async def kept(self) -> None:
        """Return when what was noted is kept. Raises StorageFull."""
        await self._registry.flush()

    def _look(self, context: Context, default: bool) -> Write:
        kernel = context.kernel if context.kernel is not None and context.kernel.alive else None
        record = ContextRecord(
            self._kind,
            context.language,
            context.cwd,
            default,
            context.generation,
            context.state_lost,
            now_ms() - round(context.idle_seconds() * 1000),
            context.name,
        )
        row = ContextRow(
            context.id,
            self._registry.node,
            self._sandbox_id,
            record.to_json(),
            None if kernel is None else to_json(kernel.trace),
            context.created_at,
        )
        return partial(put_context, row=row)


def keep_sandbox(registry: Registry, record: SandboxRecord, trace: SandboxTrace) -> Write:
    """What writes a sandbox down as it is; once it has ended, its contexts are gone."""
    ended = record.status is SandboxStatus.ENDED
    row = SandboxRow(
        record.id,
        registry.node,
        record.tenant,
        record_to_json(record),
        {"mark": trace.mark, "key": trace.key, "active_at": trace.active_at},
        record.created_at,
        now_ms() if ended else None,
    )

    def write(connection: Any) -> None:
        put_sandbox(connection, row)
        if ended:
            remove_contexts_of(connection, registry.node, record.id)

    return write
