"""Gathering what a run has made."""

from __future__ import annotations

import base64
import os
import socket
from pathlib import Path

import pytest

from execd.errors import StorageFull
from execd.events import Display, encode
from execd.service.basket import ArtifactLimits, Basket, OutOfTime
from execd.service.gathering import gather_files, gather_outputs
from execd.service.workspace_changes import Candidates
from execd.store.blobs import Blob, Blobs
from tests.machine import MACHINE

LIMITS = ArtifactLimits(count=10, size=100, run_size=1000, seconds=60)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace" / "sub").mkdir(parents=True)
    return tmp_path / "workspace"


def gathered(workspace: Path, blobs: Blobs, *paths: str, limits: ArtifactLimits = LIMITS) -> Basket:
    basket = Basket(limits)
    gather_files(MACHINE, workspace, Candidates(paths), blobs, basket)
    return basket


def content(blobs: Blobs, blob: Blob) -> bytes:
    with os.fdopen(blobs.open(blob.sha256), "rb") as file:
        return file.read()


def test_files_are_kept_as_they_are(workspace: Path, blobs: Blobs) -> None:
    (workspace / "a.txt").write_text("hello")
    (workspace / "sub" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    first, second = gathered(workspace, blobs, "sub/b.png", "a.txt").gathered
    assert (first.name, first.path, first.media.mime_type) == ("a.txt", str(workspace / "a.txt"), "text/plain")
    assert content(blobs, first.blob) == b"hello"
    assert (second.name, second.media.kind.value) == ("b.png", "image")


def test_only_files_in_the_workspace_itself(workspace: Path, blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (workspace / "link").symlink_to(tmp_path / "secret")
    (workspace / "folder-link").symlink_to(tmp_path)
    os.mkfifo(workspace / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(workspace / "socket"))
        names = ("link", "folder-link", "folder-link/secret", "fifo", "socket", "sub", "../secret", "gone")
        basket = gathered(workspace, blobs, *names)
    assert basket.gathered == []
    assert basket.notices() == []
    assert blobs.hashes() == []


def test_what_was_only_closed_counts_if_it_is_new(workspace: Path, blobs: Blobs) -> None:
    (workspace / "a").write_text("hello")
    modified = (workspace / "a").stat().st_mtime_ns
    for since, count in ((modified, 1), (modified + 1, 0)):
        basket = Basket(LIMITS)
        gather_files(MACHINE, workspace, Candidates((), ("a",), since), blobs, basket)
        assert len(basket.gathered) == count


def test_names_that_are_no_text_can_leave(workspace: Path, blobs: Blobs) -> None:
    (workspace / os.fsdecode(b"\xff.txt")).write_text("hello")
    [found] = gathered(workspace, blobs, os.fsdecode(b"\xff.txt")).gathered
    assert found.name == "\ufffd.txt"


def test_what_does_not_fit_is_counted(workspace: Path, blobs: Blobs) -> None:
    for number in range(12):
        (workspace / f"{number:02}").write_text("x")
    (workspace / "00").write_text("x" * 101)
    basket = gathered(workspace, blobs, *(f"{number:02}" for number in range(12)))
    assert [found.name for found in basket.gathered] == [f"{number:02}" for number in range(1, 11)]
    assert [(notice.count, notice.size, notice.kept_size) for notice in basket.notices()] == [(1, 1, 10), (1, 101, 10)]


def test_a_file_that_grows_while_it_is_copied_is_left_out(
    workspace: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "a").write_text("x" * 100)
    copy = blobs.put_file

    def grown(source: int, most: int, hurry: object) -> Blob:
        with (workspace / "a").open("a") as file:
            file.write("more")
        return copy(source, most)

    monkeypatch.setattr(blobs, "put_file", grown)
    basket = gathered(workspace, blobs, "a")
    assert [notice.count for notice in basket.notices()] == [1]
    assert basket.gathered == []


def test_the_time_for_it_ends(workspace: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (workspace / name).write_text(name)
    basket = Basket(LIMITS)
    copy = blobs.put_file

    def slow(source: int, most: int, hurry: object) -> Blob:
        if basket.gathered:
            raise OutOfTime
        return copy(source, most)

    monkeypatch.setattr(blobs, "put_file", slow)
    gather_files(MACHINE, workspace, Candidates(("a", "b", "c")), blobs, basket)
    assert [found.name for found in basket.gathered] == ["a"]
    [notice] = basket.notices()
    assert (notice.count, notice.why) == (2, "gathering them may take 60 s")


def test_a_full_disk_is_told(workspace: Path, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    (workspace / "a").write_text("hello")

    def full(*_: object) -> Blob:
        raise StorageFull("full")

    monkeypatch.setattr(blobs, "put_file", full)
    monkeypatch.setattr(blobs, "put", full)
    basket = gathered(workspace, blobs, "a")
    gather_outputs([encode(Display({"text/html": "<p>"}, {}), 1, 1)], blobs, basket)
    [notice] = basket.notices()
    assert (notice.count, notice.size, notice.why) == (2, 8, "there is no room to keep them")


def test_a_workspace_that_was_not_looked_through_is_told_of(workspace: Path, blobs: Blobs) -> None:
    basket = Basket(LIMITS)
    gather_files(MACHINE, workspace, Candidates(all_seen=False), blobs, basket)
    assert [notice.count for notice in basket.notices()] == [0]


def test_a_workspace_that_is_gone_has_no_files(tmp_path: Path, blobs: Blobs) -> None:
    assert gathered(tmp_path / "none", blobs, "a").gathered == []


def test_outputs_are_numbered_over_the_run(blobs: Blobs) -> None:
    png = base64.b64encode(b"\x89PNG").decode()
    records = [
        encode(Display({"image/png": png, "text/html": "<p>"}, {}), 1, 1),
        encode(Display({"application/pdf": png}, {}), 2, 1),
    ]
    basket = Basket(LIMITS)
    gather_outputs(records, blobs, basket)
    assert [(found.name, found.media.kind.value, found.path) for found in basket.gathered] == [
        ("output-1.png", "image", None),
        ("output-2.html", "html", None),
        ("output-3.pdf", "document", None),
    ]
    assert content(blobs, basket.gathered[0].blob) == b"\x89PNG"


def test_outputs_that_do_not_fit_are_counted(blobs: Blobs) -> None:
    basket = Basket(LIMITS)
    gather_outputs([encode(Display({"text/html": "x" * 101}, {}), 1, 1)], blobs, basket)
    assert basket.gathered == []
    assert [(notice.count, notice.size) for notice in basket.notices()] == [(1, 101)]
