"""Uploads in parts: in any order, checked, in place only when whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from execd.errors import DestinationExists, InvalidRequest, LimitReached, UploadConflict, UploadNotFound
from execd.service import part_uploads
from execd.service.part_uploads import PartUploads, UploadRequest
from tests.machine import MACHINE

CONTENT = b"abcdefgh"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_uploads, "PART_SIZE", 3)


@pytest.fixture
def wanted(tmp_path: Path) -> UploadRequest:
    """Eight bytes, in three parts."""
    return UploadRequest(tmp_path / "sub" / "target", len(CONTENT), "restartable_file", "merge")


def test_parts_come_in_any_order(wanted: UploadRequest) -> None:
    upload = PartUploads().start(wanted)
    assert (wanted.part_count, upload.next_part, upload.status) == (3, 0, "created")
    upload.put(2, b"gh", None)
    upload.put(0, b"xxx", None)
    assert (upload.accepted, upload.next_part, upload.status) == (5, 1, "uploading")
    upload.put(0, b"abc", None)
    upload.put(1, b"def", hashlib.sha256(b"def").hexdigest())
    assert (upload.accepted, upload.next_part, upload.status) == (8, None, "staged")
    assert not Path(wanted.path).exists()
    upload.complete(MACHINE, hashlib.sha256(CONTENT).hexdigest())
    assert (Path(wanted.path).read_bytes(), upload.status) == (CONTENT, "completed")


@pytest.mark.parametrize(
    ("number", "content", "sha256", "error"),
    [
        (0, b"ab", None, UploadConflict),
        (2, b"ghi", None, UploadConflict),
        (0, b"abc", "00", UploadConflict),
        (3, b"", None, InvalidRequest),
        (-1, b"abc", None, InvalidRequest),
    ],
)
def test_parts_that_do_not_fit(
    wanted: UploadRequest, number: int, content: bytes, sha256: str | None, error: type[Exception]
) -> None:
    upload = PartUploads().start(wanted)
    with pytest.raises(error):
        upload.put(number, content, sha256)
    assert upload.accepted == 0


def test_what_is_missing_or_wrong_is_not_put_in_place(wanted: UploadRequest) -> None:
    upload = PartUploads().start(wanted)
    with pytest.raises(UploadConflict, match="part 0 is missing"):
        upload.complete(MACHINE, None)
    for number in range(3):
        upload.put(number, CONTENT[number * 3 :][:3], None)
    with pytest.raises(UploadConflict, match="checksum"):
        upload.complete(MACHINE, "00")
    assert not Path(wanted.path).exists()


def test_one_that_may_replace_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    upload = PartUploads().start(UploadRequest(tmp_path / "there", 0, "restartable_file", "error"))
    with pytest.raises(DestinationExists):
        upload.complete(MACHINE, None)


def test_an_empty_file_has_no_parts(tmp_path: Path) -> None:
    upload = PartUploads().start(UploadRequest(tmp_path / "empty", 0, "restartable_file", "merge"))
    assert upload.next_part is None
    upload.complete(MACHINE, None)
    assert (tmp_path / "empty").read_bytes() == b""


def test_uploads_are_aborted_and_forgotten(wanted: UploadRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = PartUploads()
    first, second = uploads.start(wanted), uploads.start(wanted)
    uploads.abort(first.id)
    with pytest.raises(UploadConflict, match="aborted"):
        first.put(0, b"abc", None)
    assert uploads.get(second.id) is second
    monkeypatch.setattr(part_uploads, "now_ms", lambda: second.expires_at)
    with pytest.raises(UploadNotFound):
        uploads.get(second.id)
    assert second.status == "expired"


def test_there_may_only_be_so_many(wanted: UploadRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_uploads, "MOST_UPLOADS", 1)
    uploads = PartUploads()
    uploads.start(wanted)
    with pytest.raises(LimitReached):
        uploads.start(wanted)
    uploads.close()
    uploads.start(wanted)
