"""What a file or an output is: its MIME type, told by what is in it and by its name, and its kind. Pure.

What is in it comes first: a name can only choose among the types that the content could be. Signatures are
puremagic's; names those of Python's `mimetypes`, without what the machine may add, and a few more.
"""

from __future__ import annotations

import codecs
import mimetypes
import re
from dataclasses import dataclass
from enum import StrEnum

import puremagic

HEAD_BYTES = 8192
"""How much of a file's beginning is enough to know it."""

UNKNOWN = "application/octet-stream"


class Kind(StrEnum):
    """What an artifact is, in four words."""

    IMAGE = "image"
    DOCUMENT = "document"
    HTML = "html"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Media:
    """A MIME type, without parameters, and the kind that goes with it."""

    mime_type: str
    kind: Kind


def media_of(name: str, head: bytes) -> Media:
    """What a file of this name is that begins like this; `head` is all of it, or its first HEAD_BYTES."""
    named = by_name(name)
    mime_type = _of_text(named, head) if is_text(head) else _of_binary(named, head)
    return Media(mime_type, kind_of(mime_type))


def by_name(name: str) -> str | None:
    """The type that a name promises."""
    found, encoding = _NAMES.guess_type(f"./{name}", strict=False)
    return _ENCODINGS.get(encoding) if encoding else found


def kind_of(mime_type: str) -> Kind:
    """The kind that a type belongs to."""
    if mime_type.startswith("image/"):
        return Kind.IMAGE
    if mime_type in ("text/html", "application/xhtml+xml"):
        return Kind.HTML
    return Kind.DOCUMENT if _DOCUMENT.match(mime_type) else Kind.FILE


def extension_of(mime_type: str) -> str:
    """What the name of something of this type ends with, its dot included; empty where there is no telling."""
    return _EXTENSIONS.get(mime_type) or mimetypes.MimeTypes().guess_extension(mime_type) or ""


def is_text(head: bytes) -> bool:
    """Whether a file is text that begins like this."""
    if b"\0" in head or head.startswith(b"%PDF-"):
        return False
    try:
        # The head may end within a character.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _of_text(named: str | None, head: bytes) -> str:
    if found := _MARKUP.match(head):
        return "image/svg+xml" if found["root"].lower() == b"svg" else "text/html"
    if named is not None and (named.startswith("text/") or _TEXTUAL.fullmatch(named)):
        return named
    return "text/plain" if head else named or UNKNOWN


def _of_binary(named: str | None, head: bytes) -> str:
    possible = _recognized(head)
    if named in possible or (named is not None and _ZIPPED.match(named) and "application/zip" in possible):
        return named
    if possible:
        return possible[0]
    # A name that promises what would have been recognized is wrong.
    return UNKNOWN if named is None or _KNOWN_BY_SIGNATURE.match(named) else named


def _recognized(head: bytes) -> list[str]:
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return ["application/zip"]
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return []
    sure = [match.mime_type for match in matches if match.confidence >= _SURE and match.mime_type]
    return [_NEWER.get(found, found) for found in sure]


_SURE = 0.3
_NEWER = {
    "application/x-gzip": "application/gzip",
    "image/x-ms-bmp": "image/bmp",
    "audio/x-wav": "audio/wav",
    "application/x-sqlite3": "application/vnd.sqlite3",
}
_ENCODINGS = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_EXTENSIONS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "text/html": ".html",
    "application/pdf": ".pdf",
}
_DOCUMENT = re.compile(
    r"application/(pdf|msword|rtf|epub\+zip|vnd\.ms-.*|vnd\.openxmlformats-officedocument\..*|vnd\.oasis\.opendocument\..*)$"
    r"|text/rtf$"
)
# An <svg> or <html> root, after whatever XML and HTML let stand before it.
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?[^>]*\?>|<!--.*?-->|<!DOCTYPE\s+svg[^>]*>)*"
    rb"<(?:!DOCTYPE\s+)?(?P<root>html|svg)(?=[\s>/])",
    re.IGNORECASE | re.DOTALL,
)
_TEXTUAL = re.compile(
    r"application/(json|xml|yaml|toml|sql|javascript|x-sh|x-tex|x-ndjson|x-ipynb\+json|[\w.-]+\+(json|xml))|image/svg\+xml"
)
_ZIPPED = re.compile(
    r"application/(vnd\.(openxmlformats|oasis|ms-|android|jupyter)|epub|java-archive|zip|x-numpy|x-wheel|x-npz)"
)
_KNOWN_BY_SIGNATURE = re.compile(
    r"image/(png|jpeg|gif|webp|bmp|tiff|svg)|audio/|video/|text/|application/(pdf|zip|gzip|json|x-tar)|.*\+(json|xml)"
)

_NAMES = mimetypes.MimeTypes()
for _extension, _type in {
    ".md": "text/markdown",
    ".webp": "image/webp",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.file",
    ".feather": "application/vnd.apache.arrow.file",
    ".ipynb": "application/x-ipynb+json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".whl": "application/x-wheel+zip",
    ".sqlite": "application/vnd.sqlite3",
    ".db": "application/vnd.sqlite3",
    ".pkl": "application/x-pickle",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".epub": "application/epub+zip",
    ".rtf": "application/rtf",
}.items():
    _NAMES.add_type(_type, _extension)
