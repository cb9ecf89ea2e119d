"""What resources/read gives: artifacts, files, and all that an execution has printed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

from anyio import to_thread

from execd.errors import ArtifactNotFound, InvalidRequest, NotFound
from execd.service.caller import may_see, tenant
from execd.service.downloads import OpenFile
from execd.service.media import HEAD_BYTES, is_text, media_of
from execd.service.transcript import pieces
from execd.store.artifacts import WantedArtifacts
from execd.wire.cursor import decode_cursor, next_cursor
from execd.wire.mcp.call import Call
from execd.wire.mcp.reply import Link
from execd.wire.mcp.running import known
from execd.wire.mcp.uris import ArtifactUri, FileUri, OutputUri, parse

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Content:
    """A resource's content: text, or else bytes in base64."""

    mime_type: str
    text: str | None = None
    blob: str | None = None

    @classmethod
    def of(cls, mime_type: str, raw: bytes) -> Content:
        """Text where it is text."""
        if is_text(raw):
            try:
                return cls(mime_type, text=raw.decode())
            except UnicodeDecodeError:
                pass
        return cls(mime_type, blob=base64.b64encode(raw).decode())


async def read(call: Call, uri: str) -> Content:
    """The content of a resource. Raises NotFound in its kinds, and InvalidRequest for what is too large for a
    message; tools give URLs for that."""
    match parse(uri):
        case ArtifactUri(artifact_id):
            return await _artifact(call, artifact_id)
        case OutputUri(execution_id):
            return await _output(call, execution_id)
        case FileUri(sandbox, path):
            return await _file(call, sandbox, path)
    raise NotFound(f"there is no resource {uri[:200]!r}")


async def page(call: Call, cursor: str | None) -> tuple[list[Link], str | None]:
    """Artifacts, the newest first, and the cursor of the next page. Raises InvalidRequest."""
    found = await call.sandboxes.artifacts.page(WantedArtifacts(tenant=tenant()), _PAGE, decode_cursor(cursor or ""))
    return [Link.to(call.dressed(row)) for row in found.items], next_cursor(found.before)


async def _artifact(call: Call, artifact_id: str) -> Content:
    artifacts = call.sandboxes.artifacts
    row = await artifacts.get(artifact_id)
    if not may_see(row.tenant):
        raise ArtifactNotFound(artifact_id)
    opened = await artifacts.open(row)
    try:
        raw = await to_thread.run_sync(_whole, opened, _most(call))
    finally:
        opened.close()
    return Content.of(row.mime_type, raw)


async def _file(call: Call, sandbox_id: str, path: str) -> Content:
    sandbox = await call.sandbox(sandbox_id)
    where = PurePath(path)
    opened = await sandbox.files.run(partial(OpenFile.open, sandbox.files.root, where))
    try:
        raw = await sandbox.files.run(partial(_whole, opened, _most(call)))
    finally:
        opened.close()
    return Content.of(media_of(where.name, raw[:HEAD_BYTES]).mime_type, raw)


async def _output(call: Call, execution_id: str) -> Content:
    execution, found, size, after = await known(call, execution_id), [], 0, 0
    while (told := await execution.journal.read(after)).records:
        texts = [piece.text for piece in pieces(told.records)]
        size += sum(map(len, texts))
        if size > _most(call):
            raise _too_large(_most(call))
        found += texts
        after = told.last
    return Content("text/plain", text="".join(found))


def _most(call: Call) -> int:
    # In base64 it is as large as a body may be.
    return call.settings.max_body * 3 // 4


def _too_large(most: int) -> InvalidRequest:
    said = "list_artifacts and download_file give URLs, get_execution with from_line gives lines"
    return InvalidRequest(f"it is larger than the {most} bytes that a message may hold; {said}")


def _whole(opened: OpenFile, most: int) -> bytes:
    if opened.size > most:
        raise _too_large(most)
    # A file that does not tell its true size is read up to the bound.
    return opened.read(0, opened.size or most)
