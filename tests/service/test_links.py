"""Links: what they are good for, and for how long."""

from __future__ import annotations

import time

import pytest

from execd.errors import LinkInvalid
from execd.service.links import LIFETIME, Link, Links

LINK = Link("sb_1", "download", "/a b", "tea")


def test_a_link_is_read_again() -> None:
    links = Links()
    assert links.read(links.sign(LINK), "download") == LINK


def test_a_link_is_good_for_one_action() -> None:
    links = Links()
    with pytest.raises(LinkInvalid):
        links.read(links.sign(LINK), "upload")


def test_a_link_of_another_service_is_none() -> None:
    with pytest.raises(LinkInvalid):
        Links().read(Links().sign(LINK), "download")


@pytest.mark.parametrize("token", ["", "x", "é", "a.b.c"])
def test_what_is_no_link(token: str) -> None:
    with pytest.raises(LinkInvalid):
        Links().read(token, "download")


def test_a_link_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    links = Links()
    token = links.sign(LINK)
    later = time.time() + LIFETIME + 5
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(LinkInvalid):
        links.read(token, "download")
