"""Which network a sandbox may have."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest
from execd.service.network import NetworkChoice
from execd.settings import Network


@pytest.mark.parametrize(
    ("default", "allowed", "asked", "chosen"),
    [
        ("none", [], None, "none"),
        ("none", [], "none", "none"),
        ("proxy", [], None, "proxy"),
        ("proxy", [], "none", "none"),
        ("proxy", ["full"], None, "proxy"),
        ("proxy", ["full"], "full", "full"),
        ("none", ["proxy"], "proxy", "proxy"),
    ],
)
def test_what_it_gets(default: Network, allowed: list[Network], asked: str | None, chosen: str) -> None:
    assert NetworkChoice(default, allowed).choose(asked) == chosen


@pytest.mark.parametrize(
    ("default", "asked"), [("none", "proxy"), ("proxy", "full"), ("none", "host"), ("none", "NONE")]
)
def test_what_it_may_not_have(default: Network, asked: str) -> None:
    with pytest.raises(InvalidRequest, match="EXECD_NETWORK_ALLOWED") as caught:
        NetworkChoice(default).choose(asked)
    assert caught.value.field == "network"
