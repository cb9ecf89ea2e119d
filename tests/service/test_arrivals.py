"""What new folders of a watched tree bring with them."""

from __future__ import annotations

from pathlib import Path

from execd.service.arrivals import CREATED, DELETED, MODIFIED, Arrivals


def test_what_is_in_a_new_folder_is_created_too(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "a/link").symlink_to("/")
    seen = Arrivals().complete({(CREATED, f"{tmp_path}/a"), (MODIFIED, f"{tmp_path}/other")})
    assert seen == {
        (MODIFIED, f"{tmp_path}/other"),
        *((CREATED, f"{tmp_path}/a{path}") for path in ("", "/b", "/b/file", "/link")),
    }


def test_what_was_found_is_not_created_again_and_may_have_been_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").touch()
    arrivals = Arrivals()
    arrivals.complete({(CREATED, f"{tmp_path}/a")})
    assert arrivals.complete({(CREATED, f"{tmp_path}/a/file")}) == {(MODIFIED, f"{tmp_path}/a/file")}


def test_what_is_put_in_the_place_of_a_file_is_told_each_time(tmp_path: Path) -> None:
    created = {(CREATED, f"{tmp_path}/file")}
    arrivals = Arrivals()
    assert [arrivals.complete(created) for _ in range(3)] == [created] * 3


def test_a_new_folder_is_looked_into_once_more(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    arrivals = Arrivals()
    arrivals.complete({(CREATED, f"{tmp_path}/a")})
    (tmp_path / "a/file").touch()
    assert arrivals.complete(set()) == {(CREATED, f"{tmp_path}/a/file")}
    assert arrivals.complete(set()) == set()


def test_what_was_deleted_may_be_created_again(tmp_path: Path) -> None:
    path = f"{tmp_path}/file"
    arrivals = Arrivals()
    arrivals.complete({(CREATED, path)})
    again = {(CREATED, path), (DELETED, path)}
    assert arrivals.complete(again) == again


def test_a_link_to_a_folder_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    created = {(CREATED, f"{tmp_path}/link")}
    assert Arrivals().complete(created) == created
