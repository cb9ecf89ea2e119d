"""Uploads in parts: of one file, in any order, resumed after a break; the file is in its place once all are there.

Parts wait in a nameless file of the service's, so that nothing of the sandbox sees them, and nothing stays.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import PurePath

from execd.errors import InvalidRequest, LimitReached, UploadConflict, UploadNotFound
from execd.identifiers import new_id
from execd.isolation.root import Root
from execd.service.journal import now_ms
from execd.service.landing import anonymous_file
from execd.service.paths import file_errors
from execd.service.whole_file import WholeFile

PART_SIZE = 8 * 1024 * 1024
MOST_BYTES = 64 * 1024 * 1024 * 1024
MOST_AT_ONCE = 4
MOST_UPLOADS = 100
LIFETIME_MS = 3600 * 1000

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What is to be uploaded: where it goes, how long it is, and how that is to be checked."""

    path: PurePath
    size: int
    source_kind: str
    conflict: str
    user: str | None = None
    sha256: str | None = None

    @property
    def part_count(self) -> int:
        """How many parts there are; all but the last are PART_SIZE long."""
        return -(-self.size // PART_SIZE)

    def part_size(self, number: int) -> int:
        """How long a part is, counted from 0. Raises InvalidRequest."""
        if not 0 <= number < self.part_count:
            raise InvalidRequest(f"expected a part from 0 to {self.part_count - 1}, got {number}", "part_number")
        return min(PART_SIZE, self.size - number * PART_SIZE)


@dataclass(eq=False)
class PartUpload:
    """One upload. `parts` are the numbers of those that are there."""

    id: str
    wanted: UploadRequest
    fd: int
    created_at: int = field(default_factory=now_ms)
    updated_at: int = field(default_factory=now_ms)
    parts: set[int] = field(default_factory=set)
    status: str = "created"

    @property
    def accepted(self) -> int:
        """How many bytes are there."""
        return sum(self.wanted.part_size(number) for number in self.parts)

    @property
    def next_part(self) -> int | None:
        """The first part that is missing."""
        missing = (number for number in range(self.wanted.part_count) if number not in self.parts)
        return next(missing, None)

    @property
    def expires_at(self) -> int:
        """When it is forgotten, if nothing more comes."""
        return self.updated_at + LIFETIME_MS

    def put(self, number: int, content: bytes, sha256: str | None) -> None:
        """Take a part; the same one again takes its place. Blocks. Raises UploadConflict when it is not what was
        announced, and the file errors."""
        self._check_open()
        if len(content) != self.wanted.part_size(number):
            raise UploadConflict(f"expected part {number} to have {self.wanted.part_size(number)} bytes")
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256.lower():
            raise UploadConflict(f"part {number} is not what its checksum says")
        with file_errors("an uploaded part"):
            offset = number * PART_SIZE
            while content:
                written = os.pwrite(self.fd, content, offset)
                content, offset = content[written:], offset + written
        self.parts.add(number)
        self.updated_at = now_ms()
        self.status = "staged" if self.next_part is None else "uploading"

    def complete(self, root: Root, sha256: str | None) -> None:
        """Put the file in its place. Blocks. Raises UploadConflict when something is missing or not as announced, and
        the file errors."""
        self._check_open()
        if self.next_part is not None:
            raise UploadConflict(f"part {self.next_part} is missing")
        self._check_content([given for given in (sha256, self.wanted.sha256) if given])
        whole = WholeFile(root, self.wanted.path, replaces=self.wanted.conflict != "error")
        try:
            whole.fill(self.fd, self.wanted.size)
            whole.finish()
        finally:
            whole.abandon()
        self.status = "completed"

    def close(self, status: str) -> None:
        """Forget the content. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            self.status = status if self.status != "completed" else self.status

    def _check_open(self) -> None:
        if self.fd < 0 or self.status == "completed":
            raise UploadConflict(f"the upload is {self.status}")

    def _check_content(self, announced: list[str]) -> None:
        if not announced:
            return
        digest, offset = hashlib.sha256(), 0
        while block := os.pread(self.fd, _BLOCK, offset):
            digest.update(block)
            offset += len(block)
        if any(digest.hexdigest() != given.lower() for given in announced):
            raise UploadConflict("the content is not what its checksum says")


class PartUploads:
    """The uploads in parts of one sandbox; those that nothing came for are forgotten."""

    def __init__(self) -> None:
        self._all: dict[str, PartUpload] = {}

    def start(self, wanted: UploadRequest) -> PartUpload:
        """A new upload. Raises InvalidRequest for one that is too large, LimitReached."""
        self._forget_old()
        if not 0 <= wanted.size <= MOST_BYTES:
            raise InvalidRequest(f"expected at most {MOST_BYTES} bytes", "content_length")
        if len(self._all) >= MOST_UPLOADS:
            raise LimitReached(f"there are already {MOST_UPLOADS} uploads; end one that is not needed, then try again")
        upload = PartUpload(new_id("upl"), wanted, anonymous_file())
        self._all[upload.id] = upload
        return upload

    def get(self, upload_id: str) -> PartUpload:
        """The upload with this id. Raises UploadNotFound."""
        self._forget_old()
        try:
            return self._all[upload_id]
        except KeyError:
            raise UploadNotFound(upload_id) from None

    def abort(self, upload_id: str) -> None:
        """Forget an upload. Raises UploadNotFound."""
        self.get(upload_id).close("aborted")
        del self._all[upload_id]

    def close(self) -> None:
        """Forget them all. Safe to call twice."""
        for upload in self._all.values():
            upload.close("aborted")
        self._all.clear()

    def _forget_old(self) -> None:
        now = now_ms()
        for upload in [upload for upload in self._all.values() if upload.expires_at <= now]:
            upload.close("expired")
            del self._all[upload.id]
