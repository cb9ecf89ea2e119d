"""Who asks: the tenant, what it may do, and how much of it.

It belongs to a request and to all that the request causes, so it is a context variable: each request has its own, and
tasks that it starts inherit it. Where there is none, the service itself is at work, and all is its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from execd.service.execution import DEFAULT_SANDBOX, DEFAULT_TENANT

_DEFAULT_PREFIX = f"sb_{DEFAULT_SANDBOX}_"


class Scope(StrEnum):
    """What a key is for. Each is by itself: a key that may run code may not, by that, make sandboxes."""

    READ = "read"
    RUN = "run"
    MANAGE = "manage"


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a tenant may have at once, or in a day; None is any amount. Sizes in bytes, time in seconds."""

    executions: int | None = None
    sandboxes: int | None = None
    contexts: int | None = None
    stored_bytes: int | None = None
    cpu_seconds: int | None = None

    def narrowed(self, by: Limits) -> Limits:
        """These, but for what `by` says."""
        given = {column.name: getattr(by, column.name) for column in fields(by)}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    tenant: str = DEFAULT_TENANT
    scopes: frozenset[Scope] = EVERYTHING
    limits: Limits = field(default_factory=Limits)
    key_id: str | None = None


_current: ContextVar[Caller | None] = ContextVar("execd_caller", default=None)


def caller() -> Caller | None:
    """Who asks, None for the service itself."""
    return _current.get()


@contextmanager
def calling(who: Caller | None) -> Iterator[None]:
    """Let this be who asks while the block runs."""
    token = _current.set(who)
    try:
        yield
    finally:
        _current.reset(token)


def tenant() -> str:
    """Whose what is made now is to be."""
    who = _current.get()
    return DEFAULT_TENANT if who is None else who.tenant


def may_see(owner: str) -> bool:
    """Whether what belongs to this tenant exists for who asks."""
    who = _current.get()
    return who is None or who.tenant == owner


def default_sandbox() -> str:
    """The id of the sandbox that is meant where none is named: each tenant has one."""
    mine = tenant()
    return DEFAULT_SANDBOX if mine == DEFAULT_TENANT else _DEFAULT_PREFIX + mine.partition("_")[2]


def is_default(sandbox_id: str) -> bool:
    """Whether this is some tenant's sandbox that is meant where none is named."""
    return sandbox_id == DEFAULT_SANDBOX or sandbox_id.startswith(_DEFAULT_PREFIX)
