"""Replacing text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import FileNotFound, NotAFile
from execd.service.replacing import Replacer, replace_in
from tests.machine import MACHINE

SHORT = st.binary(min_size=1, max_size=3).map(lambda raw: bytes(byte % 2 for byte in raw))
TEXT = st.lists(st.binary(max_size=8).map(lambda raw: bytes(byte % 2 for byte in raw)), max_size=6)


@given(TEXT, SHORT, st.binary(max_size=3))
def test_a_stream_becomes_what_the_whole_would(blocks: list[bytes], old: bytes, new: bytes) -> None:
    replacer = Replacer(old, new)
    replaced = b"".join(replacer.feed(block) for block in blocks) + replacer.end()
    text = b"".join(blocks)
    assert replaced == text.replace(old, new)
    assert replacer.count == text.count(old)


def test_a_match_across_blocks_is_found(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (1024 * 1024 - 2) + b"needle" + b"y" * 100)
    assert replace_in(MACHINE, file, b"needle", b"pin") == 1
    assert file.read_bytes() == b"x" * (1024 * 1024 - 2) + b"pin" + b"y" * 100


def test_mode_and_inode_tell_whether_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("one two one")
    file.chmod(0o751)
    before = file.stat()
    assert replace_in(MACHINE, file, b"three", b"3") == 0
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert replace_in(MACHINE, file, b"one", b"1") == 2
    assert file.read_text() == "1 two 1"
    assert file.stat().st_mode == before.st_mode
    assert list(tmp_path.iterdir()) == [file]


def test_a_symlink_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    (tmp_path / "link").symlink_to("file")
    assert replace_in(MACHINE, tmp_path / "link", b"a", b"b") == 1
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "b"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, error in [(tmp_path, NotAFile), (tmp_path / "fifo", NotAFile), (tmp_path / "missing", FileNotFound)]:
        with pytest.raises(error):
            replace_in(MACHINE, path, b"a", b"b")
