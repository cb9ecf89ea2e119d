"""What the sandboxes of a service are, for those who ask, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from execd.isolation.plan import Mode


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`guarantees` and `not_covered` are sentences, one a thing; `limits` says what holds each of the
    `execd.isolation.plan.Limits`; `networks` is what a sandbox may ask for, `network` what it has that asks for
    nothing; `own_users` whether each is a user of the machine of its own; `packages` says where that goes which a
    sandbox installs."""

    mode: Mode
    freeze: bool
    volumes: bool
    guarantees: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    network: str = "none"
    own_users: bool = False
    packages: str = ""
