"""What the sandboxes of a service are, for those who ask, and what may be asked of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from execd.errors import NotOffered
from execd.isolation.plan import Mode
from execd.service.outbound import Wish
from execd.service.record import Network


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`guarantees` and `not_covered` are sentences, one a thing; `limits` says what holds each of the
    `execd.isolation.plan.Limits`; `networks` is what a sandbox may ask for."""

    mode: Mode
    freeze: bool
    volumes: bool
    guarantees: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()


def check_network(network: Network, capabilities: Capabilities) -> None:
    """Raise NotOffered rather than give a sandbox more of the network than it was to have, InvalidRequest for what
    cannot be understood."""
    wish = Wish.of(network)
    closed = wish.closed and "none" not in capabilities.networks
    ruled = wish.ruled and "proxy" not in capabilities.networks
    if closed or ruled or (wish.kind is not None and wish.kind not in capabilities.networks):
        offered = ", ".join(capabilities.networks)
        raise NotOffered(
            f"the network of a sandbox cannot be restricted like this here, only to one of: {offered}; the operator "
            "can permit others with EXECD_NETWORK_ALLOWED"
        )
