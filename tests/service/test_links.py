"""Links: what they are good for, and for how long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from execd.errors import LinkInvalid
from execd.service.links import LIFETIME, Link, Links, lasting_key

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


def test_links_outlive_the_service_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "links.key"
    token = Links(lasting_key(file)).sign(LINK)
    assert Links(lasting_key(file)).read(token, "download") == LINK
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 32


def test_a_key_that_is_not_whole_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "links.key"
    file.write_bytes(b"")
    (tmp_path / "links.key.new").write_bytes(b"left by a sudden end")
    assert lasting_key(file) == lasting_key(file) != b""
    assert [found.name for found in tmp_path.iterdir()] == ["links.key"]


def test_another_folder_has_another_key(tmp_path: Path) -> None:
    assert lasting_key(tmp_path / "one") != lasting_key(tmp_path / "two")
