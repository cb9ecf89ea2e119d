"""Which hosts a sandbox may reach through the proxy: a list of rules, and what they say of a name and of an address.

A rule is a name, `*.name` for all names below it, `*` for every name, an IP address or a CIDR, each with or without a
port; without one it means 80 and 443. A name's rule opens public addresses only. Any other address, the machine's own
among them, is reached when a rule names it too, or a range that lies whole inside its kind: 10.0.0.0/8 does for
10.1.2.3, 0.0.0.0/0 does not. A name that no rule has is not even looked up, so that nothing leaks by DNS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from execd.errors import CannotServe
from execd.isolation.ranges import SPECIAL, Network

Address = IPv4Address | IPv6Address

SETTING = "EXECD_EGRESS_ALLOW"
DEFAULT_PORTS = frozenset({80, 443})

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\Z")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\Z")


class EgressRefused(Exception):
    """The policy has no way to this host and port. The sentence is plain ASCII, on one line."""


class BadRule(Exception):
    """A rule that cannot be understood; the message says what one is."""


class BadHost(Exception):
    """What was asked for is no host or no port."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a client wants to go: a name, in lower case and without a last dot, or an address; and a port."""

    host: str | Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if isinstance(self.host, IPv6Address) else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, host: str, port: str) -> Destination:
        """Raises BadHost. `host` has no brackets left."""
        return cls(_host(host), _port(port))


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list: a name, "*.name", "*" or a network; None for the ports that every rule has."""

    host: str | Network
    port: int | None = None

    def __str__(self) -> str:
        whole = isinstance(self.host, str) or self.host.prefixlen < self.host.max_prefixlen
        host = str(self.host) if whole else str(self.host.network_address)  # type: ignore[union-attr]
        return host if self.port is None else f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str, setting: str = SETTING) -> Rule:
        """Raises CannotServe, which names the setting."""
        try:
            return cls.read(text)
        except BadRule as error:
            raise CannotServe(f"{setting}: {error}") from error

    @classmethod
    def read(cls, text: str) -> Rule:
        """Raises BadRule."""
        try:
            host, port = split_port(text)
            return cls(_rule_host(host), None if port is None else _port(port))
        except (BadHost, ValueError) as error:
            expected = "a name, *.name, * or an IP address or CIDR, with or without :port"
            raise BadRule(f"expected {expected}, got {text!r:.200}: {error}") from error

    def allows_port(self, port: int) -> bool:
        """Whether the rule is about this port."""
        return port in DEFAULT_PORTS if self.port is None else port == self.port

    def has_name(self, name: str) -> bool:
        """Whether the rule is about this name."""
        if not isinstance(self.host, str):
            return False
        return self.host in ("*", name) or (self.host[:2] == "*." and name.endswith(self.host[1:]))

    def has_address(self, address: Address) -> bool:
        """Whether the rule's network has this address."""
        return not isinstance(self.host, str) and address in self.host


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules. `own_port` is the service's, which no rule opens on the machine itself; `setting` is where the rules
    come from, and `who` is held to them."""

    rules: tuple[Rule, ...] = ()
    own_port: int = 0
    setting: str = SETTING
    who: str = "sandbox"

    @classmethod
    def parse(cls, rules: Iterable[str], own_port: int, setting: str = SETTING, who: str = "sandbox") -> Policy:
        """Raises CannotServe for a rule that cannot be understood."""
        return cls(tuple(Rule.parse(rule, setting) for rule in rules), own_port, setting, who)

    def check(self, wanted: Destination) -> None:
        """Raise EgressRefused unless the host, as it was asked for, may be reached. Done before a name is looked up."""
        host = wanted.host
        if not any(
            rule.allows_port(wanted.port) and (rule.has_name(host) if isinstance(host, str) else rule.has_address(host))
            for rule in self.rules
        ):
            raise EgressRefused(f"{wanted} is not among the hosts that {self.setting} lets a {self.who} reach")

    def check_address(self, wanted: Destination, address: Address, own: Iterable[Address]) -> None:
        """Raise EgressRefused unless the address, to which `wanted` led, may be reached. `own` are the machine's."""
        mine = set(own)
        special = {network: kind for network, kind in SPECIAL.items() if address in network}
        if address in mine:
            special[ip_network(address)] = "this machine's own"
        real = getattr(address, "ipv4_mapped", None) or address
        if wanted.port == self.own_port and (real in mine or real.is_loopback or real.is_unspecified):
            raise EgressRefused(f"{wanted} is the service itself, which no {self.who} may reach")
        for network, kind in special.items():
            if not self._opens(address, wanted.port, network):
                led = "is" if address == wanted.host else f"leads to {address}, which is"
                allowed = f"only a rule in {self.setting} for that very address or CIDR allows it"
                raise EgressRefused(f"{wanted} {led} not public but {kind}: {allowed}")

    def _opens(self, address: Address, port: int, special: Network) -> bool:
        return any(
            rule.allows_port(port) and rule.has_address(address) and _lies_in(rule.host, special) for rule in self.rules
        )


def split_port(text: str) -> tuple[str, str | None]:
    """Split `host:port`, `[address]:port` or either without a port, and take the brackets off. Raises BadHost."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise BadHost("expected [address] or [address]:port")
        return host, rest[1:] if rest else None
    host, colon, port = text.partition(":")
    if not colon or ":" in port:
        return text, None
    return host, port


def _lies_in(inner: str | Network, outer: Network) -> bool:
    return not isinstance(inner, str) and inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _host(text: str) -> str | Address:
    """The host as a name or an address. Raises BadHost, also for the many old ways to write an IPv4 address: what one
    program takes for a name would be an address to the next."""
    try:
        address = ip_address(text)
    except ValueError:
        return _name(text.lower().removesuffix("."))
    if getattr(address, "scope_id", None):
        raise BadHost("expected an address without a zone")
    return address


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise BadHost("expected a host name in ASCII or an IP address")
    if _NUMBER.match(name.rpartition(".")[2]):
        raise BadHost("expected an IPv4 address to be four decimal numbers")
    return name


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
        raise BadHost("expected a port from 1 to 65535")
    return int(text)


def _rule_host(text: str) -> str | Network:
    if text == "*":
        return text
    if "/" in text:
        return ip_network(text)
    star = "*." if text.startswith("*.") else ""
    name = text.removeprefix("*.")
    host = _host(name if name.isascii() else name.encode("idna").decode())
    if isinstance(host, str):
        return star + host
    if star:
        raise BadHost("there is nothing below an address")
    return ip_network(host)
