"""Files, metrics and capabilities, as OpenSandbox's SDKs use them."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import PurePosixPath

import pytest
from opensandbox.exceptions import SandboxException
from opensandbox.models.filesystem import (
    ContentReplaceEntry,
    DirectoryListEntry,
    MoveEntry,
    SearchEntry,
    SetPermissionEntry,
    WriteEntry,
)

from tests.clients.filesystems import OPENERS, Machine
from tests.inside import Inside
from tests.running_service import RunningService

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["direct", "proxied"])
async def machine(service: RunningService, variant: str, request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    """A client of the shared service, which sends its uploads in chunks, or with their length."""
    async with OPENERS[variant](service.authority, request.param) as opened:
        yield opened


async def test_what_is_written_is_read(machine: Machine, folder: PurePosixPath, inside: Inside) -> None:
    path = str(folder / "a/ü \u2028.txt")
    await machine.files("write_file", path, "grün\r\nzwei\n")
    assert await machine.files("read_file", path) == "grün\r\nzwei\n"
    assert await machine.files("read_bytes", path, range_header="bytes=0-2") == b"gr" + "ü".encode()[:1]
    assert await machine.files("read_file", path, offset=2, limit=1) == "zwei"
    found = (await machine.files("get_file_info", [path]))[path]
    assert (found.mode, found.size, found.entry_type) == (755, 12, "file")
    assert found.modified_at.timestamp() == pytest.approx(float(inside.out("stat", "-c", "%.Y", path)), abs=1e-3)
    assert (found.owner, found.group) == ("user", "user")


async def test_files_of_every_kind_in_one_request(machine: Machine, folder: PurePosixPath, inside: Inside) -> None:
    content = os.urandom(400_000)
    await machine.files(
        "write_files",
        [
            WriteEntry(path=str(folder / "text"), data="text", mode=644),
            WriteEntry(path=str(folder / "bytes"), data=content, mode=600),
            WriteEntry(path=str(folder / "stream"), data=io.BytesIO(content), mode=640, owner="user"),
        ],
    )
    paths = [f"{folder}/{name}" for name in ("text", "bytes", "stream")]
    assert [inside.read(path) for path in paths] == [b"text", content, content]
    assert [inside.mode(path) for path in paths] == [0o644, 0o600, 0o640]


async def test_the_streaming_read(machine: Machine, variant: str, folder: PurePosixPath, inside: Inside) -> None:
    inside.out(f"head -c 1000000 /dev/urandom >{folder}/file")
    content = inside.read(f"{folder}/file")
    chunks = await machine.files("read_bytes_stream", str(folder / "file"))
    received = [chunk async for chunk in chunks] if variant == "async" else list(chunks)
    assert b"".join(received) == content


async def test_folders(machine: Machine, folder: PurePosixPath, inside: Inside) -> None:
    inner = folder / "a/b"
    await machine.files("create_directories", [WriteEntry(path=str(inner), mode=750)])
    await machine.files("write_file", str(inner / "file.py"), "x")
    listed = await machine.files("list_directory", DirectoryListEntry(path=str(folder), depth=3))
    assert [(found.path, found.entry_type) for found in listed] == [
        (str(folder / "a"), "directory"),
        (str(inner), "directory"),
        (str(inner / "file.py"), "file"),
    ]
    assert listed[1].mode == 750
    found = await machine.files("search", SearchEntry(path=str(folder), pattern="*.py"))
    assert [entry.path for entry in found] == [str(inner / "file.py")]
    await machine.files("delete_directories", [str(folder / "a")])
    assert inside.names(str(folder)) == []
    assert await machine.files("list_directory", DirectoryListEntry(path=str(folder))) == []


async def test_moving_changing_deleting(machine: Machine, folder: PurePosixPath, inside: Inside) -> None:
    a, b = str(folder / "a"), str(folder / "folder/b")
    await machine.files("write_file", a, "one two one")
    await machine.files("move_files", [MoveEntry(src=a, dest=b)])
    await machine.files("set_permissions", [SetPermissionEntry(path=b, mode=600)])
    replacement = ContentReplaceEntry(path=b, old_content="one", new_content="1")
    await machine.files("replace_contents", [ContentReplaceEntry(path=b, old_content="two", new_content="2")])
    [result] = await machine.files("replace_contents_detailed", [replacement])
    assert (result.path, result.replaced_count) == (b, 2)
    assert inside.read(b) == b"1 2 1"
    assert inside.mode(b) == 0o600
    await machine.files("delete_files", [b, a])
    assert not inside.ok(f"test -e {b}")


@pytest.mark.parametrize(
    ("method", "argument", "said"),
    [
        ("read_file", "{}/missing", "404"),
        ("get_file_info", ["{}/missing"], "no file or folder"),
        ("delete_files", ["{}"], "is a directory"),
        ("list_directory", DirectoryListEntry(path="/missing-test"), "no file or folder"),
        ("search", SearchEntry(path="/missing-test", pattern="*"), "no file or folder"),
        ("move_files", [MoveEntry(src="/missing-test", dest="/missing-test-2")], "no file or folder"),
        ("create_directories", [WriteEntry(path="/dev/null/x")], "expected a folder"),
    ],
)
async def test_what_goes_wrong_is_understood(
    machine: Machine, folder: PurePosixPath, inside: Inside, method: str, argument: object, said: str
) -> None:
    if isinstance(argument, str):
        argument = argument.format(folder)
    elif isinstance(argument, list):
        argument = [given.format(folder) if isinstance(given, str) else given for given in argument]
    with pytest.raises(SandboxException, match=said):
        await machine.files(method, argument)


async def test_as_the_sandbox_s_user(machine: Machine, folder: PurePosixPath, inside: Inside) -> None:
    theirs = machine.files_as(1000, 1000)
    await theirs("write_file", str(folder / "a/b"), "x")
    found = (await theirs("get_file_info", [str(folder / "a")]))[str(folder / "a")]
    assert (found.entry_type, found.owner) == ("directory", "user")
    assert inside.out("stat", "-c", "%u", f"{folder}/a/b") == "1000"
    for uid, gid in ((0, 0), (54321, 54322)):
        with pytest.raises(SandboxException, match="403"):
            await machine.files_as(uid, gid)("read_file", str(folder / "a/b"))


async def test_metrics(machine: Machine) -> None:
    found = await machine.get_metrics("sandbox")
    assert found.cpu_count > 0
    assert 0 < found.memory_used_in_mib < found.memory_total_in_mib
    assert isinstance(found.timestamp, int)


async def test_isolation_says_that_there_is_none(machine: Machine) -> None:
    told = await machine.capabilities()
    assert (told.available, bool(told.message)) == (False, True)
    with pytest.raises(SandboxException):
        await machine.list_isolated()
