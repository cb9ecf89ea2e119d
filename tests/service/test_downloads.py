"""Files opened for a download, and byte ranges."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import FileNotFound, NotAFile, RangeUnsatisfiable
from execd.service.downloads import ByteRange, OpenFile, parse_range
from tests.machine import MACHINE

BYTES = bytes(range(100))


@given(st.integers(0, 120), st.integers(0, 120), st.integers(0, 100))
def test_ranges_are_slices(first: int, last: int, size: int) -> None:
    content = BYTES[:size]
    expected = content[first : last + 1]
    if not expected:
        with pytest.raises(RangeUnsatisfiable):
            parse_range(f"bytes={first}-{last}", size)
        return
    found = parse_range(f"bytes={first}-{last}", size)
    assert content[found.first : found.last + 1] == expected
    assert found.size == len(expected)


@given(st.integers(0, 120), st.integers(0, 100))
def test_ranges_without_an_end_are_tails(first: int, size: int) -> None:
    if first >= size:
        with pytest.raises(RangeUnsatisfiable):
            parse_range(f"bytes={first}-", size)
    else:
        assert parse_range(f"bytes={first}-", size) == ByteRange(first, size - 1)


@given(st.integers(0, 120), st.integers(0, 100))
def test_ranges_without_a_beginning_count_from_the_end(count: int, size: int) -> None:
    if count == 0 or size == 0:
        with pytest.raises(RangeUnsatisfiable):
            parse_range(f"bytes=-{count}", size)
    else:
        found = parse_range(f"bytes=-{count}", size)
        assert BYTES[:size][found.first : found.last + 1] == BYTES[:size][-count:]


@given(st.text("bytes=-0123456789, x²", max_size=14), st.integers(0, 20))
def test_every_header_is_a_range_within_the_file_or_refused(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except RangeUnsatisfiable:
        return
    assert 0 <= found.first <= found.last < size


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "BYTES=0-1", " bytes = 0 - 1 ", "bytes=0-1, nonsense"])
def test_the_first_range_counts(header: str) -> None:
    assert parse_range(header, 10) == ByteRange(0, 1)


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=5-2", "bytes=1", "bytes=" + "9" * 5000 + "-"],
)
def test_what_is_no_range_is_refused(header: str) -> None:
    with pytest.raises(RangeUnsatisfiable) as refused:
        parse_range(header, 10)
    assert refused.value.size == 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(BYTES)
    return path


def test_bytes_are_read_wherever_they_are(file: Path) -> None:
    opened = OpenFile.open(MACHINE, file)
    try:
        assert opened.size == 100
        assert opened.read(10, 5) == BYTES[10:15]
        assert opened.read(98, 5) == BYTES[98:]
        assert opened.read(100, 5) == b""
        cached = opened.read_cached(10, 5)
        assert cached is None or BYTES[10:15].startswith(cached)
        assert opened.read_cached(100, 5) is None
    finally:
        opened.close()
        opened.close()


def test_it_stays_one_file_whatever_becomes_of_its_name(file: Path) -> None:
    opened = OpenFile.open(MACHINE, file)
    file.unlink()
    file.write_bytes(b"another")
    assert opened.read(0, 200) == BYTES
    opened.close()


def test_the_etag_changes_with_the_content(file: Path) -> None:
    def etag() -> str:
        opened = OpenFile.open(MACHINE, file)
        opened.close()
        return opened.etag

    first = etag()
    assert etag() == first
    os.utime(file, ns=(0, 1))
    second = etag()
    file.write_bytes(b"shorter")
    os.utime(file, ns=(0, 1))
    third = etag()
    replaced = file.with_name("other")
    replaced.write_bytes(b"shorter")
    os.utime(replaced, ns=(0, 1))
    replaced.replace(file)
    assert len({first, second, third, etag()}) == 4


def test_what_cannot_be_downloaded(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotAFile):
        OpenFile.open(MACHINE, tmp_path)
    with pytest.raises(FileNotFound):
        OpenFile.open(MACHINE, tmp_path / "missing")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
