"""Which network a sandbox has: what it asks for, within what the operator permits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from execd.errors import InvalidRequest
from execd.settings import Network


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """The operator's: what a sandbox has that asks for nothing, and what else it may ask for."""

    default: Network = "none"
    allowed: Collection[Network] = ()

    def choose(self, asked: str | None, field: str = "network") -> Network:
        """The network of a new sandbox. Raises InvalidRequest for one that there is not, or that it may not have."""
        permitted = sorted({"none", self.default, *self.allowed})
        for network in permitted:
            if network == (asked or self.default):
                return network
        said = f"expected one of {', '.join(permitted)}, got {asked!r:.40}"
        raise InvalidRequest(f"{said}; the operator can permit others with EXECD_NETWORK_ALLOWED", field)
