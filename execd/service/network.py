"""Which network a sandbox has: what it asks for, within what there is and the operator permits."""

from __future__ import annotations

from collections.abc import Sequence

from execd.errors import InvalidRequest, NotOffered
from execd.service.record import Network


def choose_network(asked: Network, offered: Sequence[str], default: str, field: str = "network.mode") -> str:
    """The network of a new sandbox: `none`, `proxy` or `full`. Never more of it than was asked for: raises
    InvalidRequest for one that it may not have, NotOffered for a restriction that cannot be had."""
    rules = asked.rules
    nothing = rules is not None and rules.closed and asked.mode is None and "proxy" not in offered
    if asked.internet is False or nothing:
        return _restricted("none", offered)
    if rules is not None:
        if asked.mode not in (None, "proxy"):
            raise InvalidRequest(f"rules hold in network proxy, not in {asked.mode!r:.40}", field)
        return _restricted("proxy", offered)
    chosen = asked.mode or default
    if chosen not in offered:
        said = f"expected one of {', '.join(offered)}, got {chosen!r:.40}"
        raise InvalidRequest(f"{said}; the operator can permit others with EXECD_NETWORK_ALLOWED", field)
    return chosen


def check_change(asked: Network, has: str, offered: Sequence[str]) -> None:
    """Raise NotOffered unless the rules can be given to a sandbox that has this network already."""
    if asked.internet is False and has != "none":
        raise NotOffered(f"this sandbox has network {has}, which cannot be taken away; make one that has none")
    if asked.rules is not None and has != "proxy" and not (has == "none" and asked.rules.closed):
        said = f"this sandbox has network {has}, to which rules cannot be given; make one that has proxy"
        raise NotOffered(f"{said}. Sandboxes here may ask for {', '.join(offered)}")


def _restricted(wanted: str, offered: Sequence[str]) -> str:
    if wanted not in offered:
        raise NotOffered(
            f"the network of a sandbox cannot be restricted like this here, which takes network {wanted}: "
            f"it may be {', '.join(offered)}; the operator can permit others with EXECD_NETWORK_ALLOWED"
        )
    return wanted
