"""What was asked of a sandbox, and what is known about it. Values; nothing here does anything.

Times are Unix milliseconds, durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from execd.isolation.plan import Bind, Limits
from execd.service.narrowing import Narrowing


class SandboxStatus(StrEnum):
    """What a sandbox is at present."""

    CREATING = "creating"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


class TimeoutAction(StrEnum):
    """What happens to a sandbox whose time is over."""

    DELETE = "delete"
    PAUSE = "pause"


class EndReason(StrEnum):
    """Why a sandbox is no more."""

    DELETED = "it was deleted"
    TOO_OLD = "its time was over"
    IDLE = "nobody has used it for longer than it may be idle"
    LOST = "its processes were lost"
    SERVICE_ENDED = "the service has ended"


@dataclass(frozen=True, slots=True)
class Network:
    """What a sandbox asks for of the world outside: `internet` and `mode` None leave it to the service; `rules` narrow
    what it reaches."""

    internet: bool | None = None
    mode: str | None = None
    rules: Narrowing | None = None


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """A sandbox to be made. `timeout` None leaves it to the service, 0 is for ever; so with `idle_timeout`, where 0
    is never. `image` is what a client calls the thing that it wants, `profile` what that stands for here. `workspace`
    and `home` are where these are to be inside, where the walls let that be chosen. `dialect` holds what only one API
    knows, to be shown again."""

    image: str = "base"
    profile: str = "default"
    timeout: float | None = None
    timeout_action: TimeoutAction = TimeoutAction.DELETE
    idle_timeout: float | None = None
    envs: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    cwd: str | None = None
    limits: Limits = field(default_factory=Limits)
    network: Network = Network()
    volumes: tuple[Bind, ...] = ()
    workspace: str | None = None
    home: str | None = None
    dialect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """A sandbox as it is known. `timeout` is what it was given last, None for ever, and `expires_at` where that
    leads; `reach` is the network that it has, `origin` the sandbox whose workspace it began with, `copied` how that was
    done, `tenant` whose it is."""

    id: str
    wanted: SandboxRequest
    status: SandboxStatus
    created_at: int
    timeout: float | None
    timeout_action: TimeoutAction
    idle_timeout: float | None
    metadata: Mapping[str, Any]
    network: Network
    reach: str = "none"
    expires_at: int | None = None
    started_at: int | None = None
    paused_at: int | None = None
    end: EndReason | None = None
    origin: str | None = None
    copied: str | None = None
    tenant: str = "default"
