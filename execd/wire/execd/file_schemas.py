"""The bodies of the execd dialect that are about files, and the readings of the machine."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, RootModel

from execd.errors import InvalidRequest
from execd.service.ownership import Permission, mode_bits
from execd.wire.execd.schemas import Body, PathText, Text


def _octal(digits: int) -> int:
    try:
        mode_bits(digits)
    except InvalidRequest:
        raise ValueError("expected up to four octal digits written as a number, such as 644") from None
    return digits


def _or_nothing(value: object) -> object:
    return "" if value is None else value


def _or_zero(value: object) -> object:
    return 0 if value is None else value


Mode = Annotated[int, BeforeValidator(_or_zero), AfterValidator(_octal)]
Name = Annotated[Text, BeforeValidator(_or_nothing)]


class PermissionBody(Body):
    """Mode, owner and group of a file or folder; what is 0, null or empty is left alone."""

    mode: Mode = Field(0, description="Octal digits written as a decimal number: 755 means rwxr-xr-x.")
    owner: Name = Field("", description="A user's name, or number as text.")
    group: Name = Field("", description="A group's name, or number as text.")

    def permission(self) -> Permission:
        """What the service understands."""
        return Permission(mode_bits(self.mode), self.owner, self.group)


class FileMetadata(PermissionBody):
    """The metadata part of an upload: where the file goes, and what it shall have there."""

    path: PathText = Field(min_length=1, description="Where the file goes.")


class PermissionsByPath(RootModel[dict[PathText, PermissionBody]]):
    """POST /files/permissions and POST /directories: paths, and what each shall have."""


class MoveBody(Body):
    """One thing to move."""

    src: PathText = Field(min_length=1, description="A file or folder.")
    dest: PathText = Field(min_length=1, description="Its new path, at which nothing may be.")


class Moves(RootModel[list[MoveBody]]):
    """POST /files/mv."""


class ReplacementBody(Body):
    """What to replace in one file."""

    old: Text = Field(min_length=1, description="The text to look for, as it is.")
    new: Text = Field(description="What stands there afterwards.")


class Replacements(RootModel[dict[PathText, ReplacementBody]]):
    """POST /files/replace: paths, and what to replace in each."""


class UploadForm(BaseModel):
    """POST /files/upload, multipart/form-data: pairs of these parts, any number of them; the n-th metadata belongs to
    the n-th file."""

    metadata: FileMetadata
    file: bytes


class FileInfoBody(BaseModel):
    """A file, folder or symlink."""

    path: str = Field(description="Absolute.")
    type: str = Field(description="file, directory, symlink or other")
    size: int = Field(description="Bytes.")
    modified_at: datetime
    created_at: datetime = Field(description="The inode's change time.")
    owner: str
    group: str
    mode: int = Field(description="Octal digits written as a decimal number.")


class FileInfoByPath(RootModel[dict[str, FileInfoBody]]):
    """GET /files/info: by the paths as they were asked for."""


class ReplacedBody(BaseModel):
    """How often something was replaced in a file."""

    replacedCount: int  # noqa: N815  # the API's name


class ReplacedByPath(RootModel[dict[str, ReplacedBody]]):
    """POST /files/replace?verbose=true."""


class MetricsBody(BaseModel):
    """How busy the machine is, or the part of it that the service may use."""

    cpu_count: float = Field(description="CPUs that may be used; a fraction where a quota says so.")
    cpu_used_pct: float = Field(description="How much of them is used, 0 to 100.")
    mem_total_mib: float
    mem_used_mib: float
    timestamp: int = Field(description="Unix ms.")


class Capabilities(BaseModel):
    """GET /v1/isolated/capabilities."""

    available: bool = False
    isolator: str = "none"
    version: str
    message: str = Field(description="Why isolation is not available.")
    setpriv_available: bool = False
    userns_available: bool = False
    commit_supported: bool = False
    diff_supported: bool = False
    hardening: dict[str, Any]
