"""What the sandboxes of a service are, for those who ask, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from execd.errors import NotOffered
from execd.isolation.plan import Mode
from execd.service.record import Network


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`guarantees` and `not_covered` are sentences, one a thing; `limits` says what holds each of the
    `execd.isolation.plan.Limits`; `networks` is what a sandbox may ask for; `own_users` whether each is a user of the
    machine of its own; `packages` says where that goes which a sandbox installs."""

    mode: Mode
    freeze: bool
    volumes: bool
    guarantees: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    own_users: bool = False
    packages: str = ""


def check_network(network: Network, capabilities: Capabilities) -> None:
    """Raise NotOffered rather than give a sandbox more of the network than it was to have."""
    closed = network.internet is False and "none" not in capabilities.networks
    ruled = network.rules is not None and "proxy" not in capabilities.networks
    if closed or ruled:
        offered = ", ".join(capabilities.networks)
        raise NotOffered(f"the network of a sandbox cannot be restricted here: it is {offered}")
