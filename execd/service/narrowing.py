"""A sandbox's own rules for what it reaches through its proxy: of what the operator's let it, never more.

They are OpenSandbox's network policy: actions for targets, the first that fits counts, and one for all the rest. A
target is a name, `*.name`, `*`, an address or a CIDR, for every port unless it names one. What denies an address does
so too for the names that lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from execd.errors import InvalidRequest
from execd.service.egress_policy import Address, BadRule, Destination, EgressRefused, Rule

_ACTIONS = {"allow": True, "deny": False}
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Narrowing:
    """`rules` are whether each allows, and what it is about; `allows_rest` is for what none is about."""

    rules: tuple[tuple[bool, Rule], ...] = ()
    allows_rest: bool = False

    @classmethod
    def parse(cls, given: Mapping[str, Any], field: str) -> Narrowing:
        """From `{defaultAction, egress: [{action, target}]}`, or `{allow: [target], deny: [target]}`, where what is
        denied comes first, and the rest is allowed unless something is. Raises InvalidRequest."""
        if given.keys() <= {"defaultAction", "egress"}:
            rules = _list(given, "egress", field)
            rest = _action(given.get("defaultAction", "deny"), f"{field}.defaultAction")
            return cls(tuple(_rule(rule, f"{field}.egress.{n}") for n, rule in enumerate(rules)), rest)
        if given.keys() <= {"allow", "deny"}:
            lists = [(name, _list(given, name, field)) for name in ("deny", "allow")]
            found = [
                (_ACTIONS[name], _target(target, f"{field}.{name}.{n}"))
                for name, targets in lists
                for n, target in enumerate(targets)
            ]
            return cls(tuple(found), allows_rest="allow" not in given)
        raise InvalidRequest("expected defaultAction and egress, or allow and deny, and nothing else", field)

    @property
    def closed(self) -> bool:
        """Whether nothing at all is to be reached."""
        return not self.allows_rest and not any(allows for allows, _ in self.rules)

    def check(self, wanted: Destination) -> None:
        """Raise EgressRefused unless the host, as it was asked for, may be reached."""
        host = wanted.host
        for allows, rule in self.rules:
            fits = rule.has_name(host) if isinstance(host, str) else rule.has_address(host)
            if fits and rule.port in (None, wanted.port):
                return None if allows else _refuse(wanted)
        return None if self.allows_rest else _refuse(wanted)

    def check_address(self, wanted: Destination, address: Address) -> None:
        """Raise EgressRefused where an address is denied to which `wanted` led."""
        real = getattr(address, "ipv4_mapped", None) or address
        for allows, rule in self.rules:
            if rule.has_address(real) and rule.port in (None, wanted.port):
                return None if allows else _refuse(wanted)
        return None


def _refuse(wanted: Destination) -> None:
    raise EgressRefused(f"{wanted} is not among the hosts that this sandbox's own rules let it reach")


def _list(given: Mapping[str, Any], name: str, field: str) -> list[Any]:
    found = given.get(name) or []
    if not isinstance(found, list) or len(found) > _MOST:
        raise InvalidRequest(f"expected a list of at most {_MOST}", f"{field}.{name}")
    return found


def _rule(given: object, field: str) -> tuple[bool, Rule]:
    if not isinstance(given, Mapping) or not given.keys() <= {"action", "target"}:
        raise InvalidRequest("expected action and target, and nothing else", field)
    return _action(given.get("action"), f"{field}.action"), _target(given.get("target"), f"{field}.target")


def _action(given: object, field: str) -> bool:
    if not isinstance(given, str) or given not in _ACTIONS:
        raise InvalidRequest(f"expected allow or deny, got {given!r:.40}", field)
    return _ACTIONS[given]


def _target(given: object, field: str) -> Rule:
    try:
        return Rule.read(given if isinstance(given, str) else "")
    except BadRule as error:
        raise InvalidRequest(str(error), field) from None
