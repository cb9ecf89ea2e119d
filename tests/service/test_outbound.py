"""What a sandbox asks of its network for itself."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from execd.errors import InvalidRequest
from execd.service.egress_policy import Destination, EgressRefused, Policy
from execd.service.network import NetworkChoice
from execd.service.outbound import Narrowed, Wish
from execd.service.record import Network

OPERATOR = NetworkChoice("none", ["proxy"])


def wish(rules: dict[str, Any] | None, internet: bool | None = None) -> Wish:
    return Wish.of(Network(internet, rules))


def ordered(default: str, *rules: tuple[str, str]) -> dict[str, Any]:
    return {"defaultAction": default, "egress": [{"action": action, "target": target} for action, target in rules]}


@pytest.mark.parametrize(
    ("asked", "network"),
    [
        (wish(None), "none"),
        (wish(None, internet=True), "none"),
        (wish({"mode": "proxy"}), "proxy"),
        (wish({"mode": "proxy"}, internet=False), "none"),
        (wish({}), "none"),
        (wish({"egress": {"mode": "deny_all"}}), "none"),
        (wish({"mode": "custom", "allow_cidrs": ["203.0.113.0/24"]}), "proxy"),
        (wish({"deny_out": ["0.0.0.0/0"]}), "none"),
        (wish({"deny_out": ["0.0.0.0/0"], "allow_out": ["203.0.113.0/24"]}), "proxy"),
        (wish(ordered("deny")), "none"),
        (wish(ordered("deny", ("deny", "example.com"))), "none"),
        (wish(ordered("deny", ("allow", "example.com"))), "proxy"),
        (wish(ordered("allow")), "none"),
    ],
)
def test_the_network_that_it_takes(asked: Wish, network: str) -> None:
    assert asked.choose(OPERATOR) == network


def test_what_the_operator_does_not_permit_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="EXECD_NETWORK_ALLOWED"):
        wish(ordered("deny", ("allow", "example.com"))).choose(NetworkChoice("none"))


@pytest.mark.parametrize(
    "rules",
    [
        {"mode": "some"},
        {"mode": ["none"]},
        {"defaultAction": "maybe"},
        {"defaultAction": "deny", "egress": ["example.com"]},
        {"defaultAction": "deny", "egress": [{"action": "allow", "target": "not a host"}]},
        {"mode": "custom", "allow_cidrs": "203.0.113.0/24"},
        {"mode": "custom", "deny_cidrs": ["203.0.113.0/99"]},
    ],
)
def test_what_cannot_be_understood(rules: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        wish(rules)


def reached(narrowed: Narrowed, host: str, leads_to: str = "198.51.100.1") -> bool:
    wanted = Destination.parse(host, "443")
    try:
        narrowed.check(wanted)
        narrowed.check_address(wanted, ip_address(leads_to if isinstance(wanted.host, str) else host), ())
    except EgressRefused:
        return False
    return True


def test_the_first_rule_that_fits_counts_within_what_the_operator_allows() -> None:
    operators = Policy.parse(["*.example.com", "example.org", "8.8.8.0/24"], 0)
    narrowed = Narrowed.to(operators, wish(ordered("deny", ("deny", "bad.example.com"), ("allow", "*.example.com"))))
    assert reached(narrowed, "good.example.com", "8.8.4.4")
    assert not reached(narrowed, "bad.example.com", "8.8.4.4")
    assert not reached(narrowed, "example.org", "8.8.4.4")
    assert not reached(narrowed, "8.8.8.8")
    opened = Narrowed.to(operators, wish(ordered("allow", ("deny", "example.org"))))
    assert reached(opened, "8.8.8.8")
    assert not reached(opened, "example.org", "8.8.4.4")
    assert not reached(opened, "elsewhere.net", "8.8.4.4")


def test_a_range_is_about_what_names_lead_to() -> None:
    narrowed = Narrowed.to(Policy.parse(["*"], 0), wish({"mode": "custom", "allow_cidrs": ["8.8.8.0/24"]}))
    assert reached(narrowed, "example.com", "8.8.8.8")
    assert not reached(narrowed, "example.com", "8.8.4.4")
