"""A sandbox's own rules for what it reaches."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from execd.errors import InvalidRequest
from execd.service.egress_policy import Destination, EgressRefused
from execd.service.narrowing import Narrowing


def reaches(rules: dict[str, Any], host: str, port: str = "443", leads: str = "") -> bool:
    narrowing, wanted = Narrowing.parse(rules, "policy"), Destination.parse(host, port)
    try:
        narrowing.check(wanted)
        if leads:
            narrowing.check_address(wanted, ip_address(leads))
    except EgressRefused:
        return False
    return True


def policy(default: str, **actions: str) -> dict[str, Any]:
    rules = [{"action": action, "target": target} for action, targets in actions.items() for target in targets.split()]
    return {"defaultAction": default, "egress": rules}


@pytest.mark.parametrize(
    ("rules", "host", "port", "leads", "expected"),
    [
        ({}, "a.example", "443", "", False),
        (policy("allow"), "a.example", "443", "", True),
        (policy("deny", allow="a.example"), "a.example", "8080", "", True),
        (policy("deny", allow="a.example"), "b.example", "443", "", False),
        (policy("deny", allow="*.example"), "b.example", "443", "", True),
        (policy("deny", allow="a.example:80"), "a.example", "443", "", False),
        (policy("allow", deny="a.example"), "a.example", "443", "", False),
        (policy("allow", deny="a.example", allow="*.example"), "b.example", "443", "", True),
        (policy("allow", deny="10.0.0.0/8"), "10.1.2.3", "443", "", False),
        (policy("allow", deny="10.0.0.0/8"), "a.example", "443", "10.1.2.3", False),
        (policy("allow", deny="10.0.0.0/8"), "a.example", "443", "::ffff:10.1.2.3", False),
        (policy("allow", allow="10.1.0.0/16", deny="10.0.0.0/8"), "a.example", "443", "10.1.2.3", True),
        ({"allow": ["a.example"]}, "b.example", "443", "", False),
        ({"deny": ["a.example"]}, "b.example", "443", "", True),
        ({"allow": ["*"], "deny": ["a.example"]}, "a.example", "443", "", False),
    ],
)
def test_the_first_that_fits_counts(rules: dict[str, Any], host: str, port: str, leads: str, expected: bool) -> None:
    assert reaches(rules, host, port, leads) is expected


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"default": "allow"}, "policy"),
        ({"defaultAction": "maybe"}, "policy.defaultAction"),
        ({"defaultAction": ["allow"]}, "policy.defaultAction"),
        ({"egress": {}}, None),
        ({"egress": "a.example"}, "policy.egress"),
        ({"egress": [{"action": "allow"}]}, "policy.egress.0.target"),
        ({"egress": [{"target": "a.example"}]}, "policy.egress.0.action"),
        ({"egress": [{"action": "allow", "target": "a b"}]}, "policy.egress.0.target"),
        ({"egress": [{"action": "allow", "target": "a.example", "port": 1}]}, "policy.egress.0"),
        ({"allow": [3]}, "policy.allow.0"),
        ({"allow": ["*"] * 1001}, "policy.allow"),
    ],
)
def test_what_cannot_be_understood(rules: dict[str, Any], field: str | None) -> None:
    if field is None:
        assert Narrowing.parse(rules, "policy").closed
        return
    with pytest.raises(InvalidRequest) as caught:
        Narrowing.parse(rules, "policy")
    assert caught.value.field == field
