"""Uploads, from the bytes of a body to files in their places."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execd.errors import ContentMissing, ExecdError, FileForbidden, InvalidUpload, MetadataMissing, NotAFile
from execd.service.ownership import Permission
from execd.service.uploads import Destination, Upload
from tests.machine import MACHINE

TYPE = "multipart/form-data; boundary=xyz"

Part = tuple[str, bytes]


def destination(metadata: bytes) -> Destination:
    """The metadata of these tests: a path, or something that is none."""
    try:
        return Destination(Path(json.loads(metadata)["path"]), Permission())
    except ValueError as error:
        raise MetadataMissing(str(error)) from error


def body(parts: Iterable[Part], end: bytes = b"--xyz--\r\n") -> bytes:
    """The parts as they go over the wire, with names that are not ASCII."""
    headers = (
        'Content-Disposition: form-data; name="{}"; filename="käse \u2028.txt"\r\nContent-Type: text/plain\r\n\r\n'
    )
    return b"".join(b"--xyz\r\n" + headers.format(name).encode() + data + b"\r\n" for name, data in parts) + end


def metadata(path: Path) -> Part:
    return "metadata", json.dumps({"path": str(path)}).encode()


def upload(raw: bytes, size: int = 65536) -> None:
    """The whole life of an upload, its body coming in chunks of a size."""
    found = Upload(MACHINE, TYPE, destination)
    try:
        found.feed([raw[start : start + size] for start in range(0, len(raw), size)])
        found.finish()
    finally:
        found.abandon()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_pairs_come_in_any_order(tmp_path: Path, size: int) -> None:
    a, b, c = (metadata(tmp_path / name) for name in "abc")
    orders: list[list[Part]] = [
        [a, ("file", b"A"), b, ("file", b"B"), c, ("file", b"C")],
        [a, b, c, ("file", b"A"), ("file", b"B"), ("file", b"C")],
        [("file", b"A"), ("file", b"B"), ("file", b"C"), a, b, c],
        [("file", b"A"), a, ("file", b"B"), ("file", b"C"), b, c],
    ]
    for parts in orders:
        upload(body(parts), size)
        assert contents(tmp_path) == {"a": b"A", "b": b"B", "c": b"C"}
        for file in tmp_path.iterdir():
            file.unlink()


@settings(max_examples=50)
@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([b"\r\n--xyz", b"\r\n--xy", b"\r", b"--xyz--"]), max_size=4),
    st.integers(1, 400),
)
def test_every_byte_arrives(tmp_path_factory: pytest.TempPathFactory, files: list[bytes], size: int) -> None:
    folder = tmp_path_factory.mktemp("upload")
    safe = [data.replace(b"\r\n--xyz", b"") for data in files] or [b""]
    parts = [part for at, data in enumerate(safe) for part in (metadata(folder / str(at)), ("file", data))]
    upload(body(parts), size)
    assert contents(folder) == {str(at): data for at, data in enumerate(safe)}


def test_the_last_of_two_for_one_place_wins(tmp_path: Path) -> None:
    upload(body([metadata(tmp_path / "a"), ("file", b"1"), metadata(tmp_path / "a"), ("file", b"2")]))
    assert contents(tmp_path) == {"a": b"2"}


def test_other_parts_are_skipped(tmp_path: Path) -> None:
    upload(body([("other", b"x"), metadata(tmp_path / "a"), ("note", b"y"), ("file", b"1")]))
    assert contents(tmp_path) == {"a": b"1"}


def test_more_than_a_thousand_pairs(tmp_path: Path) -> None:
    parts = [part for at in range(1500) for part in (metadata(tmp_path / f"{at % 7}/{at}"), ("file", b"%d" % at))]
    upload(body(parts))
    assert contents(tmp_path) == {f"{at % 7}/{at}": b"%d" % at for at in range(1500)}


def test_memory_holds_a_batch_and_not_a_file(tmp_path: Path) -> None:
    chunk = os.urandom(64 * 1024)
    found = Upload(MACHINE, TYPE, destination)
    tracemalloc.start()
    try:
        found.feed([body([metadata(tmp_path / "a"), ("file", b"")], b"").removesuffix(b"\r\n")])
        for _ in range(32):
            found.feed([chunk] * 16)
        found.feed([b"\r\n--xyz--"])
        found.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        found.abandon()
    assert (tmp_path / "a").stat().st_size == 32 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


A = ("file", b"new")


@pytest.mark.parametrize(
    ("parts", "end", "error", "said"),
    [
        ([], b"--xyz--", MetadataMissing, "at least one part named metadata"),
        ([A], b"--xyz--", MetadataMissing, "at least one part named metadata"),
        (["there"], b"--xyz--", ContentMissing, "at least one part named file"),
        (["there", A, A], b"--xyz--", InvalidUpload, "got 1 of metadata and 2 of file"),
        (["there", "new", A], b"--xyz--", InvalidUpload, "got 2 of metadata and 1 of file"),
        (["there", A], b"", InvalidUpload, "ended before its last boundary"),
        (["there", A, ("metadata", b"{")], b"--xyz--", MetadataMissing, "Expecting"),
        (["there", A, ("metadata", b"x" * 70_000)], b"--xyz--", MetadataMissing, "at most 65536 bytes"),
        (["there", A, "folder", A], b"--xyz--", NotAFile, "is a directory"),
        (["there", A], b"--xyz\r\nno header\r\n\r\n", InvalidUpload, "multipart/form-data: "),
        (["there", A], b"--xyz\r\n" + b"A: b\r\n" * 40, InvalidUpload, "multipart/form-data: "),
    ],
)
def test_what_is_wrong_changes_nothing_and_leaves_nothing(
    tmp_path: Path, parts: list[str | Part], end: bytes, error: type[ExecdError], said: str
) -> None:
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    made = [metadata(tmp_path / part) if isinstance(part, str) else part for part in parts]
    with pytest.raises(error, match=said):
        upload(body(made, end))
    assert contents(tmp_path) == {"there": b"old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "there"]


@pytest.mark.parametrize("cut", [10, 120, 200, 290])
def test_a_body_that_is_cut_off_anywhere(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    raw = body([metadata(tmp_path / "a"), ("file", b"x" * 500)])
    with pytest.raises(InvalidUpload):
        upload(raw[: len(raw) - cut])
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data", "text/plain; boundary=xyz", "multipart/form-data; boundary="],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidUpload, match="expected multipart/form-data with a boundary"):
        Upload(MACHINE, content_type, destination)


def test_a_boundary_may_not_be_of_any_length() -> None:
    with pytest.raises(InvalidUpload, match="Boundary length"):
        Upload(MACHINE, f"multipart/form-data; boundary={'x' * 300}", destination)


def test_a_boundary_may_be_quoted(tmp_path: Path) -> None:
    found = Upload(MACHINE, 'multipart/form-data; boundary="xyz"', destination)
    found.feed([body([metadata(tmp_path / "a"), A])])
    found.finish()
    found.abandon()
    assert contents(tmp_path) == {"a": b"new"}


def test_folders_made_for_what_did_not_land_are_gone(tmp_path: Path) -> None:
    with pytest.raises(InvalidUpload):
        upload(body([metadata(tmp_path / "a/b/c"), A], b""))
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_is_named() -> None:
    with pytest.raises((FileForbidden, ExecdError), match="/proc/x"):
        upload(body([metadata(Path("/proc/x/y")), A]))


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    parts = [part for at in range(20) for part in (("file", b"x"), metadata(tmp_path / str(at)))]
    upload(body(parts))
    with pytest.raises(InvalidUpload):
        upload(body(parts, b""))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
