"""The way out of a sandbox that has network `full`: a TCP/IP stack in user space, one process a sandbox.

slirp4netns connects to the world from the machine's own network, so what the machine reaches, it reaches. What a
sandbox must not reach is closed by routes in its namespace, which it has no power to change: every range that is not
public, the machine's addresses, all of IPv6, and of the stack's own subnet all but gateway and resolver. A program may
ask for its packets to leave by the device, whatever the routes say (SO_BINDTODEVICE); then it has to find the
destination on the link, and slirp4netns answers ARP for those two alone.

pasta is no stand-in: it answers ARP for every address, and then routes close nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

from execd.isolation.netlink import Route
from execd.isolation.ranges import SPECIAL

PROGRAM = "slirp4netns"
DEVICE = "tap0"
TUNNELS = "/dev/net/tun"
MTU = 65520

_CANDIDATES = IPv4Network("198.18.0.0/15")  # for benchmarks of network devices, hence no network's real range
_PREFIX = 25  # the longest that slirp4netns takes


class UplinkFailed(Exception):
    """The sandbox has no network; the message is for the operator."""


@dataclass(frozen=True, slots=True)
class UplinkPlan:
    """What there is to know before the sandbox is made: the subnet between it and its uplink, and the addresses of
    this machine, which are closed. JSON on the way to the warden."""

    subnet: str
    own: tuple[str, ...] = ()

    @property
    def gateway(self) -> IPv4Address:
        """Where everything is sent."""
        return IPv4Network(self.subnet)[2]

    @property
    def resolver(self) -> IPv4Address:
        """What hands DNS on to the machine's resolver, and answers on port 53 only."""
        return IPv4Network(self.subnet)[3]

    def resolv_conf(self) -> str:
        """The sandbox's /etc/resolv.conf."""
        return f"nameserver {self.resolver}\n"

    def routes(self, device: int) -> list[Route]:
        """What is closed, and the two that are not, the latter first: a gateway has to be reachable throughout."""
        near = [Route(IPv4Network(address), device) for address in (self.gateway, self.resolver)]
        halves = IPv4Network(self.subnet).subnets()
        own = (IPv4Network(address) for address in self.own if ip_address(address).version == 4)
        ranges = (network for network in SPECIAL if network.version == 4 and not network.is_loopback)
        return [*near, *map(Route, halves), *map(Route, ranges), *map(Route, own), Route(IPv6Network("::/0"))]

    def argv(self, program: str, netns: int, userns: int | None, ready: int, leave: int) -> list[str]:
        """The command, given the descriptors that it has: its namespaces, where it says that it is ready, and the one
        whose other end it lives as long as."""
        users = [] if userns is None else [f"--userns-path=/proc/self/fd/{userns}"]
        inner = ["--configure", f"--mtu={MTU}", f"--cidr={self.subnet}", "--disable-host-loopback", "--enable-seccomp"]
        outer = [f"--ready-fd={ready}", f"--exit-fd={leave}", "--netns-type=path"]
        return [program, *inner, *outer, *users, f"/proc/self/fd/{netns}", DEVICE]


def choose_subnet(routed: Iterable[IPv4Network]) -> str:
    """A subnet that is none of those that this machine has routes to. Raises UplinkFailed."""
    taken = [network for network in routed if network.prefixlen]
    for subnet in _CANDIDATES.subnets(new_prefix=_PREFIX):
        if not any(subnet.overlaps(network) for network in taken):
            return str(subnet)
    raise UplinkFailed(f"this machine has routes to all of {_CANDIDATES}, so there is no subnet left for sandboxes")


def routed_networks(table: str) -> list[IPv4Network]:
    """The networks in the text of /proc/net/route."""

    def address(field: str) -> str:
        return str(IPv4Address(int.from_bytes(bytes.fromhex(field), "little")))

    rows = [line.split() for line in table.splitlines()[1:]]
    return [IPv4Network(f"{address(row[1])}/{address(row[7])}") for row in rows]


def uplink_missing() -> str | None:
    """Why sandboxes cannot have network `full` on this machine; None when they can."""
    if shutil.which(PROGRAM) is None:
        return f"network full needs {PROGRAM}, which is not installed; the package has the same name"
    if not os.path.exists(TUNNELS):
        return f"network full needs {TUNNELS}, which this machine or container does not have"
    if not os.access(TUNNELS, os.R_OK | os.W_OK):
        return f"network full needs {TUNNELS}, which the user of this service may not use (on most machines all may)"
    return None
