"""Finding text in files: the lines below a folder that hold it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from execd.errors import FileFailed
from execd.isolation.root import Root
from execd.service.directories import searched
from execd.service.downloads import OpenFile
from execd.service.globs import Glob

MOST_MATCHES = 10_000

_BLOCK = 256 * 1024
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Match:
    """A line that holds the text; lines count from 1, and a long one is cut."""

    file: str
    line: int
    content: str


def found_in(root: Root, folder: PurePath, text: str) -> list[Match]:
    """The matches below a folder, by path, up to MOST_MATCHES. The text is taken literally: a regular expression of
    somebody's could keep the whole service busy. Binary files, and what cannot be read, are left out. Raises
    FileNotFound, NotADirectory."""
    wanted = text.encode()
    matches: list[Match] = []
    for info in searched(root, folder, Glob("**")):
        if info.type != "file":
            continue
        try:
            opened = OpenFile.open(root, PurePath(info.path))
        except (FileFailed, LookupError):
            continue
        try:
            for line in _lines(opened, wanted, info.path):
                matches.append(line)
                if len(matches) >= MOST_MATCHES:
                    return matches
        finally:
            opened.close()
    return matches


def _lines(opened: OpenFile, wanted: bytes, path: str) -> Iterator[Match]:
    rest, number, offset = b"", 0, 0
    while block := opened.read(offset, _BLOCK):
        if b"\0" in block:
            return
        offset += len(block)
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            number += 1
            if wanted in line:
                yield Match(path, number, _shown(line))
        if len(rest) > _BLOCK:
            # No text has such lines.
            return
    if wanted in rest:
        yield Match(path, number + 1, _shown(rest))


def _shown(line: bytes) -> str:
    return line[:_LONGEST_LINE].rstrip(b"\r").decode("utf-8", "replace")
