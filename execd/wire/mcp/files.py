"""read_file, write_file, list_files, search_files, download_file: files of a sandbox, in its own paths."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import PurePath

from execd.errors import InvalidRequest
from execd.service.directories import listed, searched
from execd.service.downloads import READ_BYTES, OpenFile
from execd.service.fileinfo import FileInfo
from execd.service.globs import Glob
from execd.service.media import HEAD_BYTES, is_text, media_of
from execd.service.sandbox import Sandbox
from execd.service.whole_file import write_file as write_whole
from execd.wire.mcp.arguments import DownloadFile, ListFiles, ReadFile, SearchFiles, WriteFile
from execd.wire.mcp.call import Call, shown_sandbox
from execd.wire.mcp.reply import Image, Link, Reply
from execd.wire.mcp.structured import FileLink, FileRead, FileShown, FilesShown, FileWritten
from execd.wire.mcp.telling import Lines, Pager
from execd.wire.mcp.uris import file_uri

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


async def read_file(call: Call, asked: ReadFile) -> Reply:
    """The lines of a text file, or an image."""
    sandbox = await call.sandbox(asked.sandbox)
    path = sandbox.files.paths.resolve(asked.path)
    opened = await sandbox.files.run(partial(OpenFile.open, sandbox.files.root, path))
    try:
        head = await sandbox.files.run(partial(opened.read, 0, HEAD_BYTES))
        mime_type = media_of(path.name, head).mime_type
        if is_text(head):
            most = call.settings.mcp_output_size
            page = await sandbox.files.run(partial(_page, opened, asked.from_line, asked.lines, most))
            return _text_reply(path, mime_type, opened.size, page)
        data = await _image(call, sandbox, opened, mime_type)
    finally:
        opened.close()
    return _binary_reply(path, mime_type, opened.size, data)


async def write_file(call: Call, asked: WriteFile) -> Reply:
    """Give a file all of its content; those above it are made."""
    sandbox = await call.sandbox(asked.sandbox)
    path = sandbox.files.paths.resolve(asked.path)
    content = _content(asked)
    info = await sandbox.files.run(partial(write_whole, sandbox.files.root, path, content))
    return Reply(FileWritten(text=f"wrote {info.size} bytes to {info.path}", path=info.path, size=info.size))


async def list_files(call: Call, asked: ListFiles) -> Reply:
    """What is in a folder."""
    sandbox = await call.sandbox(asked.sandbox)
    folder = sandbox.files.paths.resolve(asked.path)
    return await _many(sandbox, partial(listed, sandbox.files.root, folder, asked.depth), asked.limit)


async def search_files(call: Call, asked: SearchFiles) -> Reply:
    """The files below a folder whose name fits."""
    sandbox = await call.sandbox(asked.sandbox)
    folder = sandbox.files.paths.resolve(asked.path)
    glob = Glob(asked.pattern)
    return await _many(sandbox, partial(searched, sandbox.files.root, folder, glob), asked.limit)


async def download_file(call: Call, asked: DownloadFile) -> Reply:
    """Where a file can be had, whole."""
    sandbox = await call.sandbox(asked.sandbox)
    path = sandbox.files.paths.resolve(asked.path)
    opened = await sandbox.files.run(partial(OpenFile.open, sandbox.files.root, path))
    try:
        head = await sandbox.files.run(partial(opened.read, 0, HEAD_BYTES))
    finally:
        opened.close()
    uri, url = file_uri(shown_sandbox(sandbox.id), str(path)), call.file_url(sandbox.id, str(path))
    mime_type = media_of(path.name, head).mime_type
    text = f"{path} ({mime_type}, {opened.size} bytes): {url or uri}"
    found = FileLink(text=text, path=str(path), mime_type=mime_type, size=opened.size, uri=uri, download_url=url)
    return Reply(found, links=(Link(uri, path.name, mime_type, opened.size),))


def _page(opened: OpenFile, first: int, count: int | None, most: int) -> Lines:
    pager, offset = Pager(first, most, count), 0
    while not pager.full and (block := opened.read(offset, READ_BYTES)):
        offset += len(block)
        pager.feed_bytes(block)
    return pager.end()


async def _image(call: Call, sandbox: Sandbox, opened: OpenFile, mime_type: str) -> str | None:
    fits = opened.size * 4 <= call.settings.mcp_image_size * 3
    if mime_type not in _IMAGES or not fits:
        return None
    content = await sandbox.files.run(partial(opened.read, 0, opened.size))
    return base64.b64encode(content).decode()


def _text_reply(path: PurePath, mime_type: str, size: int, page: Lines) -> Reply:
    text = page.text
    if page.following is not None:
        text += f"\n[execd] there is more: read_file(path={str(path)!r}, from_line={page.following})"
    return Reply(
        FileRead(text=text, path=str(path), mime_type=mime_type, size=size, next_line=page.following),
    )


def _binary_reply(path: PurePath, mime_type: str, size: int, image: str | None) -> Reply:
    text = f"[{path}: {mime_type}, {size} bytes{'' if image else '; download_file gives a link to it'}]"
    images = () if image is None else (Image(mime_type, image),)
    return Reply(FileRead(text=text, path=str(path), mime_type=mime_type, size=size), images)


def _content(asked: WriteFile) -> bytes:
    try:
        return asked.content.encode() if asked.encoding == "utf-8" else base64.b64decode(asked.content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"expected {asked.encoding}: {error}", "content") from None


async def _many(sandbox: Sandbox, find: partial[Iterator[FileInfo]], limit: int) -> Reply:
    found = await sandbox.files.run(lambda: list(islice(find(), limit + 1)))
    files, more = found[:limit], len(found) > limit
    lines = [_line(info) for info in files] or ["nothing"]
    if more:
        lines.append(f"[execd] there are more than these {limit}: ask for a folder further down, or a higher limit")
    return Reply(FilesShown(text="\n".join(lines), files=[_shown(info) for info in files], more=more))


def _line(info: FileInfo) -> str:
    return f"{info.path}/" if info.type == "directory" else f"{info.path}  {info.size} bytes"


def _shown(info: FileInfo) -> FileShown:
    return FileShown(path=info.path, type=info.type, size=info.size, modified_at=info.modified_at.isoformat())
