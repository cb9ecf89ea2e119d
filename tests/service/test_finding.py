"""Finding text in files, and reading what executions have printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.events import Stderr, Stdout
from execd.service import finding
from execd.service.finding import found_in
from execd.service.transcript import pieces, transcript
from tests.machine import MACHINE
from tests.service.journal_model import now
from tests.service.stage import new_execution


def found(folder: Path, text: str) -> list[tuple[str, int, str]]:
    """The matches, by the files' names."""
    return [(Path(match.file).name, match.line, match.content) for match in found_in(MACHINE, folder, text)]


def test_lines_that_hold_a_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no\nwith tea\r\ntea.*\xff at the end")
    (tmp_path / "binary").write_bytes(b"tea\0")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_text("tea\n")
    assert found(tmp_path, "tea") == [("a", 2, "with tea"), ("a", 3, "tea.*\ufffd at the end"), ("b", 1, "tea")]
    # Not a pattern.
    assert found(tmp_path, "tea.*") == [("a", 3, "tea.*\ufffd at the end")]


def test_lines_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_BLOCK", 4)
    (tmp_path / "a").write_bytes(b"1\nxxte\nte\n")
    assert found(tmp_path, "te") == [("a", 2, "xxte"), ("a", 3, "te")]


def test_there_is_an_end_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "MOST_MATCHES", 2)
    (tmp_path / "a").write_text("tea\n" * 5)
    assert len(found(tmp_path, "tea")) == 2


def test_a_transcript_has_both_streams(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    for event in (Stdout("one\n"), Stderr("two\n"), Stdout("thr\u2028ee")):
        execution.emit(event)
    told = now(transcript(execution))
    assert (told.stdout, told.stderr, told.output) == ("one\nthr\u2028ee", "two\n", "one\ntwo\nthr\u2028ee")
    assert [piece.stream for piece in pieces(now(execution.journal.read(0)).records)] == ["stdout", "stderr", "stdout"]
