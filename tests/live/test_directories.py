"""GET /directories/list, POST and DELETE /directories."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ["b/c/d", "a", "b/a"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("b")
    return tmp_path


def listed(client: httpx.Client, path: Path, **query: str) -> list[str]:
    answer = client.get("/directories/list", params={"path": str(path), **query})
    assert answer.status_code == 200
    return [os.path.relpath(shown["path"], path) for shown in answer.json()]


def test_a_folder_and_what_is_in_it(client: httpx.Client, tree: Path) -> None:
    assert listed(client, tree) == ["a", "b", "link"]
    assert listed(client, tree, depth="0") == []
    assert listed(client, tree, depth="2") == ["a", "b", "b/a", "b/c", "link"]
    assert listed(client, tree, depth="100") == ["a", "b", "b/a", "b/c", "b/c/d", "link"]


@pytest.mark.parametrize("depth", ["-1", "x", "1.5", "²"])
def test_depths_that_are_none(client: httpx.Client, tree: Path, depth: str) -> None:
    answer = client.get("/directories/list", params={"path": str(tree), "depth": depth})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("a", 400, "INVALID_FILE"), ("link", 400, "INVALID_FILE"), ("missing", 404, "FILE_NOT_FOUND")],
)
def test_what_is_no_folder(client: httpx.Client, tree: Path, name: str, status: int, code: str) -> None:
    answer = client.get("/directories/list", params={"path": str(tree / name)})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_folders_are_made_and_those_that_are_there_stay(client: httpx.Client, tree: Path) -> None:
    (tree / "b").chmod(0o750)
    body = {
        str(tree / "x/y"): {"mode": 711, "owner": None, "group": None},
        str(tree / "b"): {"mode": 700, "owner": "", "group": ""},
        str(tree / "plain"): {},
    }
    assert client.post("/directories", json=body).status_code == 200
    assert [stat.S_IMODE((tree / name).stat().st_mode) for name in ("x/y", "b")] == [0o711, 0o750]
    assert (tree / "plain").is_dir()


def test_what_cannot_be_made(client: httpx.Client, tree: Path) -> None:
    answer = client.post("/directories", json={str(tree / "a/x"): {"mode": 755}})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_FILE")
    answer = client.post("/directories", json={str(tree / "x"): {"mode": 955}})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


def test_folders_go_with_all_that_is_in_them(client: httpx.Client, tree: Path) -> None:
    answer = client.delete("/directories", params={"path": [str(tree / "b"), str(tree / "missing")]})
    assert (answer.status_code, answer.content) == (200, b"")
    assert sorted(path.name for path in tree.iterdir()) == ["a", "link"]


def test_the_root_stays(client: httpx.Client) -> None:
    answer = client.delete("/directories", params={"path": "/"})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
