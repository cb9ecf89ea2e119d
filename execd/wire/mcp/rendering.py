"""What a run has brought forth, as a tool answers it. Pure.

stdout, results, [stderr], [error] ─▶ one text, each part bounded by its share of what there may be
image/png, jpeg, gif, webp         ─▶ images, as long as there is room; beyond it links to their artifacts
tables                             ─▶ their text, and rows in the structured content
artifacts                          ─▶ links
all that a model has to know       ─▶ lines that begin with [execd]
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from execd.events import Bundle
from execd.service.outputs import Outputs, Shown
from execd.service.rich_data import TABLE, data_of
from execd.wire.mcp.cutting import cut, plain, shares, size_of
from execd.wire.mcp.reply import Image
from execd.wire.mcp.structured import ArtifactShown, ImageShown, TableShown
from execd.wire.mcp.telling import HeadAndTail

# Those that every client that shows images can show.
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_TEXTS = ("text/markdown", "text/latex", "text/plain")
# What IPython says of an object that is nothing but its other forms.
_HOLLOW = "<IPython.core.display."
# The least that a part of the text is worth showing.
_LEAST = 64

Dress = Callable[[Mapping[str, Any]], ArtifactShown]
"""Makes of an artifact's record what is shown, with a link that whoever asks may follow."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many bytes of text, and of images in base64, an answer may have."""

    text: int
    images: int


@dataclass(slots=True)
class Rendered:
    """What is to be shown of a run. `notes` come last in the text, whole."""

    body: str = ""
    left_out_bytes: int = 0
    images: list[Image] = field(default_factory=list)
    images_shown: list[ImageShown] = field(default_factory=list)
    tables: list[TableShown] = field(default_factory=list)
    artifacts: list[ArtifactShown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The one text."""
        notes = "\n".join(f"[execd] {note}" for note in self.notes)
        body = self.body or "(no output)"
        return f"{body.removesuffix(chr(10))}\n{notes}" if notes else body


def render(outputs: Outputs, bounds: Bounds, dress: Dress) -> Rendered:
    """All of it."""
    found = Rendered(artifacts=[dress(artifact) for artifact in outputs.artifacts])
    kept = {artifact["sha256"]: artifact["id"] for artifact in outputs.artifacts}
    room = bounds.images
    results: list[str] = []
    for shown in outputs.results:
        image = image_of(shown.data)
        if image is None:
            results.append(text_of(shown.data))
        else:
            fits = len(image.data) <= room
            room -= len(image.data) if fits else 0
            described = _described(image, kept, shown=fits)
            found.images_shown.append(described)
            found.images += [image] if fits else []
            results.append(_said_of(described))
        if (table := table_of(shown, bounds.text // 2)) is not None:
            found.tables.append(table)
    _put_together(found, outputs, "\n".join(filter(None, results)), bounds.text)
    return found


def _put_together(found: Rendered, outputs: Outputs, results: str, most: int) -> None:
    parts = [("", outputs.stdout), ("", [results]), ("[stderr]", outputs.stderr), ("[error]", [error_text(outputs)])]
    sizes = [pieces.size if isinstance(pieces, HeadAndTail) else sum(map(size_of, pieces)) for _, pieces in parts]
    texts: list[str] = []
    for (title, pieces), size, share in zip(parts, sizes, shares(sizes, most), strict=True):
        if not size:
            continue
        missing = (pieces.missing_bytes, pieces.missing_lines) if isinstance(pieces, HeadAndTail) else (0, 0)
        shown = cut(plain("".join(pieces)), max(share, _LEAST), *missing)
        found.left_out_bytes += shown.left_out_bytes
        texts.append(f"{title}\n{shown.text}" if title else shown.text)
    found.body = "".join(text if text.endswith("\n") else f"{text}\n" for text in texts).removesuffix("\n")


def error_text(outputs: Outputs) -> str:
    """What was raised, as Python shows it; where there is no traceback, its name and what it says."""
    error = outputs.error
    if error is None:
        return ""
    lines = [line for line in map(plain, error["traceback"]) if line.strip("-")]
    return "\n".join(lines) or f"{error['ename']}: {error['evalue']}"


def text_of(bundle: Mapping[str, Any]) -> str:
    """A MIME bundle as text, the form that says most; empty where there is none."""
    for mime_type in _TEXTS:
        text = bundle.get(mime_type)
        if isinstance(text, str) and not text.startswith(_HOLLOW):
            return text
    if "application/json" in bundle:
        return json.dumps(bundle["application/json"], ensure_ascii=False)
    rest = next((content for kind, content in bundle.items() if kind.startswith("text/")), "")
    html = bundle.get("text/html", rest)
    return html if isinstance(html, str) else ""


def image_of(bundle: Mapping[str, Any]) -> Image | None:
    """The image that a bundle is, None where it is none."""
    for mime_type in _IMAGES:
        data = bundle.get(mime_type)
        if isinstance(data, str):
            return Image(mime_type, "".join(data.split()))
    return None


def table_of(shown: Shown, most: int) -> TableShown | None:
    """The table that a result is, as many of its rows as fit into so many bytes of JSON."""
    resource = (data_of(Bundle(shown.data, {})) or {}).get(TABLE)
    if resource is None:
        return None
    fields = resource.get("schema", {}).get("fields", []) if isinstance(resource.get("schema"), dict) else []
    columns = [str(column["name"]) for column in fields if isinstance(column, dict) and "name" in column]
    rows = [row for row in resource["data"] if isinstance(row, dict)]
    fitting = _fitting(rows, most)
    total = resource.get("total_rows")
    known = total if isinstance(total, int) else len(rows)
    return TableShown(columns=columns, rows=rows[:fitting], rows_left_out=max(known - fitting, 0))


def pixels_of(image: Image) -> tuple[int, int] | None:
    """Width and height of a PNG, by its header; None for others."""
    try:
        head = base64.b64decode(image.data[:32], validate=True)
    except (binascii.Error, ValueError):
        return None
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 24:
        return None
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def listed(artifacts: Sequence[ArtifactShown]) -> str:
    """Artifacts in one line, for a model that sees no links."""
    return ", ".join(f"{each.name} ({each.mime_type}, {each.size_bytes} bytes, {each.uri})" for each in artifacts)


def _fitting(rows: Sequence[Mapping[str, Any]], most: int) -> int:
    size = 0
    for count, row in enumerate(rows):
        size += len(json.dumps(row, default=str))
        if size > most:
            return count
    return len(rows)


def _described(image: Image, kept: Mapping[str, str], *, shown: bool) -> ImageShown:
    width, height = pixels_of(image) or (None, None)
    artifact_id = None
    if kept:
        try:
            artifact_id = kept.get(hashlib.sha256(base64.b64decode(image.data)).hexdigest())
        except (binascii.Error, ValueError):
            artifact_id = None
    return ImageShown(mime_type=image.mime_type, width=width, height=height, artifact_id=artifact_id, shown=shown)


def _said_of(image: ImageShown) -> str:
    size = f" {image.width}×{image.height}" if image.width else ""
    where = f", artifact {image.artifact_id}" if image.artifact_id else ""
    return f"[{image.mime_type}{size}{where}{'' if image.shown else ', too large to be shown here'}]"
