"""Contents by their hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from execd.errors import StorageFull
from execd.store import blobs as module
from execd.store.blobs import Blobs, TooLarge


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", head_bytes=4)


def read(blobs: Blobs, digest: str) -> bytes:
    with os.fdopen(blobs.open(digest), "rb") as file:
        return file.read()


def source(tmp_path: Path, content: bytes) -> int:
    (tmp_path / "source").write_bytes(content)
    return os.open(tmp_path / "source", os.O_RDONLY)


def test_bytes_lie_there_once(blobs: Blobs) -> None:
    first, second = blobs.put(b"hello"), blobs.put(b"hello")
    assert first == second
    assert (first.sha256, first.size, first.head) == (sha256(b"hello"), 5, b"hell")
    assert read(blobs, first.sha256) == b"hello"
    assert blobs.hashes() == [first.sha256]


def test_nothing_is_content_too(blobs: Blobs) -> None:
    assert read(blobs, blobs.put(b"").sha256) == b""


@pytest.mark.parametrize("size", [0, 1, 10, 11, 25])
@pytest.mark.parametrize("in_kernel", [True, False])
def test_files_of_any_size(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, in_kernel: bool
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 10)
    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    content = os.urandom(size)
    blob = blobs.put_file(source(tmp_path, content), 25)
    assert (blob.sha256, blob.size) == (sha256(content), size)
    assert read(blobs, blob.sha256) == content


@pytest.mark.parametrize("in_kernel", [True, False])
def test_more_than_allowed_leaves_nothing(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", lambda *_: 0)
    with pytest.raises(TooLarge):
        blobs.put_file(source(tmp_path, b"12345"), 4)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_file_that_changes_meanwhile_has_the_hash_of_what_is_kept(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 10)
    fd = source(tmp_path, b"a" * 30)

    def meddle() -> None:
        with (tmp_path / "source").open("r+b") as file:
            file.write(os.urandom(30))
            file.truncate(25)

    blob = blobs.put_file(fd, 100, meddle)
    assert blob.sha256 == sha256(read(blobs, blob.sha256))
    assert blob.size == len(read(blobs, blob.sha256))


def test_work_that_is_broken_off_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        blobs.put_file(source(tmp_path, b"12345"), 100, stop)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(StorageFull):
        blobs.put_file(source(tmp_path, b"12345"), 100)
    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(StorageFull):
        blobs.put(b"12345")
    assert blobs.hashes() == []
    assert not list((tmp_path / "blobs").glob(".new*"))


def test_what_is_held_is_not_removed(blobs: Blobs) -> None:
    digest = blobs.put(b"hello").sha256
    blobs.put(b"hello")
    blobs.release(digest)
    assert blobs.remove([digest]) == 0
    blobs.release(digest)
    assert blobs.remove([digest, digest, "00" * 32]) == 1
    with pytest.raises(FileNotFoundError):
        blobs.open(digest)


def test_what_failed_is_not_held(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(5, "broken")))
        with pytest.raises(OSError, match="broken"):
            blobs.put(b"hello")
    digest = blobs.put(b"hello").sha256
    blobs.release(digest)
    assert blobs.remove([digest]) == 1


def test_what_is_half_done_is_removed_at_the_next_start(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "blobs" / ".new_abc").touch()
    digest = blobs.put(b"hello").sha256
    assert Blobs(tmp_path / "blobs").hashes() == [digest]
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [digest[:2]]


def test_other_things_in_the_folder_are_no_contents(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"hello").sha256
    (tmp_path / "blobs" / digest[:2] / "note").touch()
    (tmp_path / "blobs" / "xy").touch()
    assert blobs.hashes() == [digest]


def test_nobody_else_may_read_them(blobs: Blobs, tmp_path: Path) -> None:
    path = blobs.path(blobs.put(b"hello").sha256)
    assert [found.stat().st_mode & 0o077 for found in (path, path.parent, tmp_path / "blobs")] == [0, 0, 0]
