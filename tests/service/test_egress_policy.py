"""What the rules of the proxy say, as tables."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from execd.errors import CannotServe
from execd.isolation.ranges import SPECIAL
from execd.service.egress_policy import BadHost, Destination, EgressRefused, Policy, Rule, split_port

OWN = {ip_address("8.8.4.4"), ip_address("10.0.0.5"), ip_address("2600::5")}
OWN_PORT = 44772


def may_reach(rules: list[str], host: str, port: int, address: str | None = None) -> bool:
    """Whether the rules let a sandbox to the host, at the address that its name has."""
    policy, wanted = Policy.parse(rules, OWN_PORT), Destination.parse(host, str(port))
    try:
        policy.check(wanted)
        policy.check_address(wanted, ip_address(address or host), OWN)
    except EgressRefused as error:
        refusal = str(error)
    else:
        return True
    assert refusal.isascii()
    assert str(wanted) in refusal
    return False


PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("packages.example", "packages.example", 443, True),
        ("packages.example", "packages.example", 80, True),
        ("packages.example", "packages.example", 22, False),
        ("packages.example", "PACKAGES.example.", 443, True),
        ("Packages.Example.", "packages.example", 443, True),
        ("packages.example", "files.packages.example", 443, False),
        ("packages.example", "notpackages.example", 443, False),
        ("packages.example:8443", "packages.example", 8443, True),
        ("packages.example:8443", "packages.example", 443, False),
        ("*.packages.example", "files.packages.example", 443, True),
        ("*.packages.example", "a.b.packages.example", 443, True),
        ("*.packages.example", "packages.example", 443, False),
        ("*.packages.example", "evilpackages.example", 443, False),
        ("*.packages.example:8443", "files.packages.example", 8443, True),
        ("*", "whatever.example", 443, True),
        ("*", "whatever.example", 25, False),
        ("*:25", "whatever.example", 25, True),
        ("münchen.example", "xn--mnchen-3ya.example", 443, True),
        ("93.184.215.0/24", "packages.example", 443, False),
    ],
)
def test_names(rule: str, host: str, port: int, allowed: bool) -> None:
    assert may_reach([rule], host, port, PUBLIC) is allowed


@pytest.mark.parametrize(
    ("rule", "address", "port", "allowed"),
    [
        (PUBLIC, PUBLIC, 443, True),
        (PUBLIC, PUBLIC, 8080, False),
        (f"{PUBLIC}:8080", PUBLIC, 8080, True),
        ("93.184.215.0/24", PUBLIC, 443, True),
        ("93.184.215.0/24:8080", PUBLIC, 443, False),
        ("0.0.0.0/0", PUBLIC, 443, True),
        ("::/0", PUBLIC, 443, False),
        ("2600::/16", "2600::1", 443, True),
        ("[2600::1]:8080", "2600::1", 8080, True),
        ("*", PUBLIC, 443, False),
    ],
)
def test_addresses(rule: str, address: str, port: int, allowed: bool) -> None:
    assert may_reach([rule], address, port) is allowed


NOT_PUBLIC = [
    *["127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1"],
    *["169.254.169.254", "169.254.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.1", "198.18.0.1"],
    *["192.0.2.1", "198.51.100.1", "203.0.113.1", "::", "::1", "::7f00:1", "fe80::1", "fd00::1", "fc00::1", "ff02::1"],
    *["::ffff:127.0.0.1", "::ffff:93.184.215.14", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1"],
    *["fec0::1", "100::1", "2001:db8::1", "3fff::1", "4000::1", "8.8.4.4", "10.0.0.5", "2600::5"],
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_needs_a_rule_of_its_own(address: str) -> None:
    everything = ["*", "0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1", "2000::/3", "name.example"]
    everything.remove("8000::/1")  # which is nothing but a special range, and so names it
    assert not may_reach(everything, "name.example", 443, address)
    assert not may_reach(everything, address, 443)
    assert may_reach([*everything, address], "name.example", 443, address)
    assert may_reach([address], address, 443)
    assert not may_reach([address], address, 8080)
    assert not may_reach(
        [f"{address}/{'32' if '.' in address and ':' not in address else '128'}"], "name.example", 443, address
    )


@pytest.mark.parametrize("network", [str(network) for network in SPECIAL])
def test_a_range_of_one_kind_is_a_rule_of_its_own(network: str) -> None:
    address = str(next(iter(Rule.parse(network).host)))
    nested = [str(other) for other in SPECIAL if ip_address(address) in other]
    assert may_reach([network, *nested], address, 443)


def test_a_range_that_has_the_machine_in_it_does_not_open_the_machine() -> None:
    assert may_reach(["10.0.0.0/8"], "10.0.0.6", 443)
    assert not may_reach(["10.0.0.0/8"], "10.0.0.5", 443)
    assert not may_reach(["8.8.4.0/24"], "8.8.4.4", 443)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "8.8.4.4", "::1", "::", "2600::5", "::ffff:127.0.0.1"]
)
def test_the_service_itself_is_never_reached(address: str) -> None:
    rule = f"[{address}]:{OWN_PORT}" if ":" in address else f"{address}:{OWN_PORT}"
    other = rule.removesuffix(str(OWN_PORT)) + "44773"
    assert not may_reach([rule], address, OWN_PORT)
    assert may_reach([other], address, 44773)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "-a",
        "a b",
        "a\tb",
        "a/b",
        "a@b",
        "ä.example",
        "a" * 64,
        "a." * 127 + "aa",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "1.2.3.4.5",
        "127.0.0.1.",
        "fe80::1%eth0",
        "[::1]",
        "::1]",
        "a%00",
        "a\x00b",
        "a:b:c",
    ],
)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(BadHost):
        Destination.parse(host, "443")


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "+80", "8 0", "٨٠", "http", "080800", "1e3"])
def test_what_is_no_port(port: str) -> None:
    with pytest.raises(BadHost, match="a port from 1 to 65535"):
        Destination.parse("a.example", port)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a:1", ("a", "1")),
        ("a", ("a", None)),
        ("a:", ("a", "")),
        ("[::1]:1", ("::1", "1")),
        ("[::1]", ("::1", None)),
        ("::1", ("::1", None)),
    ],
)
def test_host_and_port(text: str, parts: tuple[str, str | None]) -> None:
    assert split_port(text) == parts


@pytest.mark.parametrize(
    "rule", ["", "a:b", "a:0", "a b", "*.1.2.3.4", "10.0.0.1/8", "a.*", "**", "*a", "[::1", "https://a.example", "a/b"]
)
def test_a_rule_that_cannot_be_understood_is_named(rule: str) -> None:
    with pytest.raises(CannotServe, match="EXECD_EGRESS_ALLOW: expected a name") as caught:
        Policy.parse(["a.example", rule], OWN_PORT)
    assert repr(rule) in str(caught.value)


def test_without_rules_nothing_is_reached() -> None:
    assert not may_reach([], "packages.example", 443, PUBLIC)
