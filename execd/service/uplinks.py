"""The uplink of a new sandbox that has network `full`, for the machine as it is now."""

from __future__ import annotations

from pathlib import Path

from execd.isolation.uplink import UplinkPlan, choose_subnet, routed_networks
from execd.service.egress_addresses import own_addresses

_ROUTES = Path("/proc/net/route")


def plan_uplink() -> UplinkPlan:
    """One that closes every address that this machine has. Raises OSError; UplinkFailed where there is no subnet."""
    own = sorted(str(address) for address in own_addresses() if not address.is_loopback)
    return UplinkPlan(choose_subnet(routed_networks(_ROUTES.read_text())), tuple(own))
