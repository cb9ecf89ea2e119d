"""The answer that is a file, without a server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from execd.errors import FileFailed
from execd.service.downloads import ByteRange, OpenFile
from execd.service.files import Files
from execd.service.paths import Paths
from execd.wire.download import Download, byte_pieces, content_disposition
from tests.machine import MACHINE

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "GET", "path": "/"}


@given(st.text(min_size=1, max_size=30).filter(lambda name: "\0" not in name))
def test_every_name_survives_its_header(name: str) -> None:
    header = content_disposition(name.encode("utf-8", "replace").decode())
    assert header.isascii()
    assert header.isprintable()
    encoded = re.fullmatch(r"attachment; filename=\"((?:[^\"\\]|\\.)*)\"(?:; filename\*=UTF-8''(.*))?", header)
    assert encoded is not None
    found = unquote(encoded[2]) if encoded[2] is not None else re.sub(r"\\(.)", r"\1", encoded[1])
    assert found == name.encode("utf-8", "replace").decode()


@pytest.fixture
def opened(tmp_path: Path) -> OpenFile:
    (tmp_path / "file").write_bytes(b"0123456789")
    return OpenFile.open(MACHINE, tmp_path / "file")


async def waiting() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


def is_open(opened: OpenFile) -> bool:
    try:
        opened.read(0, 1)
    except FileFailed:
        return False
    return True


async def sent(download: Download) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await download(SCOPE, waiting, send)
    return messages


async def test_everything_is_sent_and_the_file_closed(opened: OpenFile) -> None:
    pieces = byte_pieces(Files(MACHINE, Paths(Path("/"), dict)), opened, ByteRange(2, 5))
    start, *body = await sent(Download(opened, pieces, 206, {"Content-Length": "4"}))
    assert (start["status"], dict(start["headers"])[b"content-length"]) == (206, b"4")
    assert b"".join(bytes(message["body"]) for message in body) == b"2345"
    assert [message.get("more_body", False) for message in body] == [True, False]
    assert not is_open(opened)


async def test_a_body_that_cannot_be_whole_has_no_end(opened: OpenFile) -> None:
    pieces = byte_pieces(Files(MACHINE, Paths(Path("/"), dict)), opened, ByteRange(5, 50))
    _, *body = await sent(Download(opened, pieces, 200, {"Content-Length": "46"}))
    assert [message["more_body"] for message in body] == [True]
    assert not is_open(opened)


async def test_a_client_that_goes_ends_the_reading(opened: OpenFile) -> None:
    reading = anyio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        reading.set()
        await anyio.sleep_forever()
        yield b""

    async def gone() -> Message:
        await reading.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    with anyio.fail_after(60):
        await Download(opened, pieces(), 200, {})(SCOPE, gone, send)
    assert not is_open(opened)
