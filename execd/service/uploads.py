"""Uploads: multipart/form-data on its way to the disk, in pairs of a metadata part and a file part.

    body ──▶ parser ──▶ metadata 1, file 1, metadata 2, file 2 … ──▶ pending files ──(the body is whole)──▶ landed

The n-th metadata belongs to the n-th file, in whatever order the parts come. A file whose metadata is still to come
waits in one nameless file. Memory holds one batch of the body, whatever the size of a file and the number of pairs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from execd.errors import ContentMissing, InvalidUpload, MetadataMissing
from execd.isolation.root import Root
from execd.service.landing import PendingFile, Syncing, anonymous_file, sync_folders, write_all
from execd.service.ownership import Permission
from execd.service.paths import file_errors

BATCH_BYTES = 1024 * 1024

_METADATA_BYTES = 64 * 1024
_HEADER_BYTES = 64 * 1024
_HEADER_COUNT = 32


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a file goes, and what it shall have there."""

    path: PurePath
    permission: Permission


@dataclass(frozen=True, slots=True)
class _EarlyFile:
    """A file without metadata yet: a stretch of the nameless file."""

    offset: int
    size: int


ReadMetadata = Callable[[bytes], Destination]


class Upload:
    """One upload. `feed` the body, then `finish`; `abandon` at the end, whatever happened. All of them block, and
    raise InvalidUpload and the file errors of `execd.errors`; the target files change in `finish` only."""

    def __init__(self, root: Root, content_type: str, read_metadata: ReadMetadata) -> None:
        self._root = root
        self._read_metadata = read_metadata
        self._destinations: list[Destination] = []
        self._pending: list[PendingFile] = []
        self._files = 0
        self._early: dict[int, _EarlyFile] = {}
        self._early_fd = -1
        self._early_size = 0
        self._header_name = b""
        self._header_value = b""
        self._name = b""
        self._metadata = bytearray()
        self._buffer = bytearray()
        self._current: PendingFile | None = None
        self._syncing = Syncing()
        self._early_start = 0
        self._whole = False
        self._parser = self._make_parser(_boundary(content_type))

    def feed(self, chunks: Sequence[bytes]) -> None:
        """The next pieces of the body."""
        try:
            for chunk in chunks:
                self._parser.write(chunk)
                if len(self._buffer) >= BATCH_BYTES:
                    self._flush()
        except FormParserError as error:
            raise InvalidUpload(f"expected multipart/form-data: {error}", "body") from error
        self._flush()

    def finish(self) -> None:
        """The body has ended: if everything is there, put every file in its place."""
        self._check()
        with file_errors("an uploaded file"):
            self._syncing.finish()
        try:
            for pending in self._pending:
                pending.land()
        finally:
            sync_folders(self._root, set().union(*(pending.folders for pending in self._pending)))

    def abandon(self) -> None:
        """Remove what has not landed. Safe to call twice."""
        self._syncing.close()
        for pending in self._pending:
            pending.discard()
        if self._early_fd >= 0:
            os.close(self._early_fd)
            self._early_fd = -1

    def _check(self) -> None:
        if not self._whole:
            raise InvalidUpload("the body ended before its last boundary", "body")
        if not self._destinations:
            raise MetadataMissing("expected at least one part named metadata, with a JSON object", "metadata")
        if not self._files:
            raise ContentMissing
        if len(self._destinations) != self._files:
            counts = f"got {len(self._destinations)} of metadata and {self._files} of file"
            raise InvalidUpload(f"expected as many metadata parts as file parts, {counts}", "body")

    def _make_parser(self, boundary: bytes) -> MultipartParser:
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value_comes,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._content_begins,
                    "on_part_data": self._content_comes,
                    "on_part_end": self._part_ends,
                    "on_end": self._body_ends,
                },
                max_header_count=_HEADER_COUNT,
                max_header_size=_HEADER_BYTES,
            )
        except FormParserError as error:
            raise InvalidUpload(str(error), "Content-Type") from error

    def _part_begins(self) -> None:
        self._name = b""
        self._metadata.clear()
        self._header_name = self._header_value = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_comes(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._name = parse_options_header(self._header_value)[1].get(b"name", b"")
        self._header_name = self._header_value = b""

    def _content_begins(self) -> None:
        if self._name != b"file":
            return
        if self._files < len(self._destinations):
            self._begin(self._destinations[self._files])
        else:
            self._early_start = self._early_size
        self._files += 1

    def _content_comes(self, data: bytes, start: int, end: int) -> None:
        if self._name == b"file":
            self._buffer += data[start:end]
        elif self._name == b"metadata":
            self._metadata += data[start:end]
            if len(self._metadata) > _METADATA_BYTES:
                raise MetadataMissing(f"expected at most {_METADATA_BYTES} bytes of metadata for a file", "metadata")

    def _part_ends(self) -> None:
        if self._name == b"metadata":
            self._add_destination(self._read_metadata(bytes(self._metadata)))
        elif self._name == b"file":
            self._flush()
            self._end_file()

    def _body_ends(self) -> None:
        self._whole = True

    def _begin(self, destination: Destination) -> PendingFile:
        pending = PendingFile(self._root, destination.path, destination.permission)
        self._pending.append(pending)
        self._current = pending
        return pending

    def _end_file(self) -> None:
        if self._current is not None:
            self._current.settle(self._syncing)
            self._current = None
        else:
            self._early[self._files - 1] = _EarlyFile(self._early_start, self._early_size - self._early_start)

    def _add_destination(self, destination: Destination) -> None:
        early = self._early.pop(len(self._destinations), None)
        self._destinations.append(destination)
        if early is None:
            return
        pending = self._begin(destination)
        pending.fill(self._early_fd, early.offset, early.size)
        self._end_file()

    def _flush(self) -> None:
        if not self._buffer:
            return
        if self._current is not None:
            self._current.write(self._buffer)
        else:
            self._write_early()
        self._buffer.clear()

    def _write_early(self) -> None:
        with file_errors("the folder for temporary files"):
            if self._early_fd < 0:
                self._early_fd = anonymous_file()
            write_all(self._early_fd, self._buffer)
        self._early_size += len(self._buffer)


def _boundary(content_type: str) -> bytes:
    essence, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if essence != b"multipart/form-data" or not boundary:
        raise InvalidUpload(f"expected multipart/form-data with a boundary, got {content_type[:80]!r}", "Content-Type")
    return boundary
