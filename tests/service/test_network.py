"""Which network a sandbox may have."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest, NotOffered
from execd.service.narrowing import Narrowing
from execd.service.network import check_change, choose_network
from execd.service.record import Network

CLOSED, OPEN = Narrowing(), Narrowing(allows_rest=True)


@pytest.mark.parametrize(
    ("default", "offered", "asked", "chosen"),
    [
        ("none", "none", Network(), "none"),
        ("none", "none", Network(True), "none"),
        ("none", "none", Network(mode="none"), "none"),
        ("proxy", "none proxy", Network(), "proxy"),
        ("proxy", "none proxy", Network(False), "none"),
        ("proxy", "none proxy", Network(False, "proxy", OPEN), "none"),
        ("proxy", "none proxy", Network(mode="none"), "none"),
        ("proxy", "none proxy full", Network(mode="full"), "full"),
        ("none", "none proxy", Network(mode="proxy"), "proxy"),
        ("none", "none proxy", Network(rules=OPEN), "proxy"),
        ("full", "none proxy full", Network(rules=CLOSED), "proxy"),
        ("none", "none", Network(rules=CLOSED), "none"),
        ("full", "full", Network(), "full"),
    ],
)
def test_what_it_gets(default: str, offered: str, asked: Network, chosen: str) -> None:
    assert choose_network(asked, offered.split(), default) == chosen


@pytest.mark.parametrize(
    ("offered", "mode"), [("none", "proxy"), ("none proxy", "full"), ("none", "host"), ("none", "NONE")]
)
def test_what_it_may_not_have(offered: str, mode: str) -> None:
    with pytest.raises(InvalidRequest, match="EXECD_NETWORK_ALLOWED") as caught:
        choose_network(Network(mode=mode), offered.split(), "none")
    assert caught.value.field == "network.mode"


@pytest.mark.parametrize(
    ("offered", "asked"),
    [("full", Network(False)), ("full", Network(rules=CLOSED)), ("none", Network(rules=OPEN))],
)
def test_a_restriction_that_cannot_be_had_is_refused(offered: str, asked: Network) -> None:
    with pytest.raises(NotOffered, match="cannot be restricted"):
        choose_network(asked, offered.split(), offered)


def test_rules_do_not_go_with_a_network_that_has_none() -> None:
    with pytest.raises(InvalidRequest, match="rules hold in network proxy"):
        choose_network(Network(mode="full", rules=OPEN), ["none", "proxy", "full"], "none")


def test_rules_are_given_later_to_who_has_the_proxy() -> None:
    check_change(Network(rules=OPEN), "proxy", ["none", "proxy"])
    check_change(Network(rules=CLOSED), "none", ["none"])
    for has, rules in (("none", OPEN), ("full", OPEN), ("full", CLOSED)):
        with pytest.raises(NotOffered, match="rules cannot be given"):
            check_change(Network(rules=rules), has, ["none"])


def test_a_network_is_not_taken_away_from_what_runs() -> None:
    check_change(Network(internet=False), "none", ["none"])
    with pytest.raises(NotOffered, match="cannot be taken away"):
        check_change(Network(internet=False), "proxy", ["none", "proxy"])
