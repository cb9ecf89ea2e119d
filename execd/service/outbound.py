"""What a sandbox asks of its network for itself: which of those that there are, and whom it shall reach. Pure.

It is asked for in one of three vocabularies, each a JSON object: ours `{"mode": "none" | "proxy" | "full"}`,
OpenSandbox's `{"defaultAction", "egress": [{"action", "target"}]}`, Nullspace's `{"mode": "allow_all" | "deny_all" |
"custom", "allow_cidrs", "deny_cidrs"}`, also as the `egress` of an object. Whatever it is, it never opens what the
operator's list does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from execd.errors import CannotServe, InvalidRequest
from execd.service.egress_policy import Address, Destination, EgressRefused, Policy, Rule
from execd.service.network import NetworkChoice
from execd.service.record import Network
from execd.settings import Network as Kind

_KINDS: tuple[Kind, ...] = ("none", "proxy", "full")
_EVERYTHING = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule of a sandbox: whether what it is about shall be reached. `target` is the rule as it was written."""

    allow: bool
    target: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Wish:
    """`kind` is a network by its name, None for the service's choice. Of the rules the first that fits counts; `open`
    says what holds where none does."""

    kind: Kind | None = None
    open: bool = True
    rules: tuple[Asked, ...] = ()

    @classmethod
    def of(cls, network: Network) -> Wish:
        """What is asked for. Raises InvalidRequest for what cannot be understood."""
        if network.internet is False:
            return cls("none")
        return cls() if network.rules is None else _wish(network.rules)

    @property
    def closed(self) -> bool:
        """Whether nothing at all shall be reached."""
        return self.kind == "none" or not (self.open or any(asked.allow for asked in self.rules))

    @property
    def ruled(self) -> bool:
        """Whether something shall be reached and something else not."""
        return not self.closed and (not self.open or any(not asked.allow for asked in self.rules))

    def choose(self, choice: NetworkChoice) -> Kind:
        """The network that this takes. Raises InvalidRequest where the operator does not permit it."""
        if self.closed:
            return "none"
        return choice.choose("proxy" if self.ruled else self.kind)

    def lets(self, host: str | Address, address: Address | None = None) -> bool:
        """Whether a host, which leads to this address, shall be reached. Without the address: whether it might be."""
        for asked in self.rules:
            named = isinstance(host, str) and asked.rule.has_name(host)
            if named or (address is not None and asked.rule.has_address(address)):
                return asked.allow
            if address is None and asked.allow and not isinstance(asked.rule.host, str):
                return True
        return self.open


@dataclass(frozen=True, slots=True)
class Narrowed(Policy):
    """The operator's policy, and of that only what the sandbox itself wants to reach."""

    wish: Wish = Wish()

    @classmethod
    def to(cls, policy: Policy, wish: Wish) -> Narrowed:
        """The policy, narrowed."""
        return cls(policy.rules, policy.own_port, wish)

    def check(self, wanted: Destination) -> None:
        """As the operator's, and the sandbox's own."""
        literal = None if isinstance(wanted.host, str) else wanted.host
        if not self.wish.lets(wanted.host, literal):
            raise EgressRefused(_refused(wanted))
        Policy.check(self, wanted)

    def check_address(self, wanted: Destination, address: Address, own: Iterable[Address]) -> None:
        """As the operator's, and the sandbox's own."""
        if not self.wish.lets(wanted.host, address):
            raise EgressRefused(_refused(wanted))
        Policy.check_address(self, wanted, address, own)


def _refused(wanted: Destination) -> str:
    return f"{wanted} is not among the hosts that this sandbox was given"


def _wish(rules: Mapping[str, Any]) -> Wish:
    inner = rules.get("egress")
    if isinstance(inner, Mapping):
        return _wish(inner)
    if "defaultAction" in rules or isinstance(inner, list):
        return _ordered(rules)
    mode = rules.get("mode")
    if mode is None:
        return _older(rules)
    if mode == "custom":
        return _ranges(rules.get("allow_cidrs"), rules.get("deny_cidrs"))
    known = {kind: Wish(kind) for kind in _KINDS} | {"allow_all": Wish(), "deny_all": Wish(open=False)}
    if isinstance(mode, str) and mode in known:
        return known[mode]
    raise InvalidRequest(f"expected none, proxy, full, allow_all, deny_all or custom, got {mode!r:.40}", "network.mode")


def _older(rules: Mapping[str, Any]) -> Wish:
    # What denies the whole range leaves what is allowed: this is how Nullspace wrote an allow-list before.
    allowed, denied = _texts(rules.get("allow_out"), "allow_out"), _texts(rules.get("deny_out"), "deny_out")
    return _ranges(allowed, [cidr for cidr in denied if cidr != _EVERYTHING], closed=_EVERYTHING in denied)


def _ordered(rules: Mapping[str, Any]) -> Wish:
    default = rules.get("defaultAction") or "deny"
    if default not in ("allow", "deny"):
        raise InvalidRequest(f"expected allow or deny, got {default!r:.40}", "networkPolicy.defaultAction")
    return Wish(open=default == "allow", rules=tuple(map(_asked, rules.get("egress") or ())))


def _asked(given: Any) -> Asked:
    if not isinstance(given, Mapping) or given.get("action") not in ("allow", "deny"):
        raise InvalidRequest("expected rules with an action, allow or deny, and a target", "networkPolicy.egress")
    return Asked(given["action"] == "allow", str(given.get("target")), _rule(given.get("target")))


def _ranges(allowed: Any, denied: Any, *, closed: bool = False) -> Wish:
    allow = [Asked(True, cidr, _rule(cidr)) for cidr in _texts(allowed, "network.allow_cidrs")]
    deny = [Asked(False, cidr, _rule(cidr)) for cidr in _texts(denied, "network.deny_cidrs")]
    return Wish(open=not allow and not closed, rules=(*deny, *allow))


def _texts(given: Any, field: str) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise InvalidRequest("expected a list of texts", field)
    return given


def _rule(target: Any) -> Rule:
    try:
        return Rule.parse(str(target))
    except CannotServe as error:
        raise InvalidRequest(str(error).partition(": ")[2], "network") from error
