"""The bodies of Nullspace's API that are about files, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from execd.wire.execd.schemas import Body, PathText, Text

SomePath = Annotated[PathText, StringConstraints(min_length=1)]
Encoding = Literal["utf8", "base64"]


class PathBody(Body):
    """A path; a relative one begins in the sandbox's folder, or in the home of the user who is named."""

    path: SomePath
    user: Text | None = None


class ReadBody(PathBody):
    """POST /files/read."""

    encoding: Encoding = "utf8"


class WriteBody(PathBody):
    """POST /files/write."""

    content: Text
    encoding: Encoding = "utf8"


class RenameBody(Body):
    """POST /files/rename."""

    old_path: SomePath
    new_path: SomePath
    user: Text | None = None


class ModeBody(PathBody):
    """POST /files/permissions."""

    permissions: Annotated[Text, StringConstraints(pattern=r"^[0-7]{3,4}$")] = Field(description="Octal, such as 0755.")


class PatternBody(PathBody):
    """POST /files/search and /files/find."""

    pattern: Annotated[Text, StringConstraints(min_length=1)]


class ReplaceBody(Body):
    """POST /files/replace. The pattern is taken literally."""

    files: list[SomePath]
    pattern: Annotated[Text, StringConstraints(min_length=1)]
    replacement: Text
    user: Text | None = None


class ManifestEntry(Body):
    """One file of a batch: where it goes, and the form field that holds it."""

    path: SomePath
    field: Annotated[Text, StringConstraints(min_length=1)]


class Manifest(Body):
    """The manifest of POST /files/batch-write."""

    files: list[ManifestEntry]
    user: Text | None = None


class BatchForm(BaseModel):
    """POST /files/batch-write, multipart/form-data: the manifest, and the files that it names."""

    manifest: Manifest


class FileForm(BaseModel):
    """POST /file, multipart/form-data."""

    file: bytes


class NewUpload(Body):
    """POST /uploads."""

    kind: Literal["file", "directory_tar"] = "file"
    source_kind: Literal["restartable_file", "spooled_stream", "directory_archive"] = "restartable_file"
    target_path: SomePath
    content_length: int = Field(ge=0)
    conflict: Literal["merge", "replace", "error"] = "merge"
    archive_format: Literal["tar"] | None = None
    checksum_algorithm: Literal["sha256"] = "sha256"
    whole_checksum_sha256: Text | None = None
    metadata: dict[str, Any] = Field({})
    user: Text | None = None


class CompleteUpload(Body):
    """POST /uploads/{id}/complete."""

    whole_checksum_sha256: Text | None = None


class NullspaceFile(BaseModel):
    """A file, folder or symlink."""

    name: str
    path: str
    is_dir: bool
    size: int
    type: str = Field(description="file, dir, symlink or other")
    mode: str
    permissions: str
    owner: str
    group: str
    modified_time: str
    symlink_target: str | None = None


class FileContent(BaseModel):
    """POST /files/read."""

    content: str
    encoding: Encoding
    size: int


class Exists(BaseModel):
    """POST /files/exists."""

    exists: bool


class MatchBody(BaseModel):
    """A line that holds the text."""

    file: str
    line: int
    content: str


class ReplaceResult(BaseModel):
    """POST /files/replace."""

    replacements: int
    files_modified: int
    files_skipped: int
    binary_files_skipped: int


class BatchEntry(BaseModel):
    """What became of one file of a batch."""

    status: Literal["success", "error"]
    path: str
    info: NullspaceFile | None = None
    error: str | None = None


class BatchResult(BaseModel):
    """POST /files/batch-write."""

    results: list[BatchEntry]


class DownloadLink(BaseModel):
    """POST /files/download-url."""

    url: str


class UploadLink(BaseModel):
    """POST /files/upload-url."""

    url: str
    token: str


class UploadLimits(BaseModel):
    """What bounds uploads; the other generation has machine_staging_quota_bytes."""

    max_upload_bytes: int
    max_part_bytes: int
    max_concurrency: int
    sandbox_staging_quota_bytes: int | None = None
    machine_staging_quota_bytes: int | None = None


class UploadSession(BaseModel):
    """An upload in parts, which are counted from 0."""

    upload_id: str
    kind: str
    source_kind: str
    target_path: str
    content_length: int
    accepted_bytes: int
    reserved_staging_bytes: int
    part_size: int
    part_count: int
    max_concurrency: int
    status: str
    conflict: str
    checksum_algorithm: str
    limits: UploadLimits
    created_at: str
    updated_at: str
    expires_at: str
    user: str | None = None
    next_part: int | None = None
    whole_checksum_sha256: str | None = None


class StartedUpload(BaseModel):
    """POST /uploads."""

    session: UploadSession


class CompletedUpload(BaseModel):
    """POST /uploads/{id}/complete."""

    session: UploadSession
    published_bytes: int
    published_file_count: int
