"""Files, metrics and capabilities, as OpenSandbox's SDKs use them."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

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
from tests.running_service import RunningService

pytestmark = pytest.mark.anyio

ROOT = os.geteuid() == 0


@pytest.fixture(params=[False, True], ids=["direct", "proxied"])
async def machine(service: RunningService, variant: str, request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    """A client of the shared service, which sends its uploads in chunks, or with their length."""
    async with OPENERS[variant](service.authority, request.param) as opened:
        yield opened


async def test_what_is_written_is_read(machine: Machine, tmp_path: Path) -> None:
    path = str(tmp_path / "a/ü \u2028.txt")
    await machine.files("write_file", path, "grün\r\nzwei\n")
    assert await machine.files("read_file", path) == "grün\r\nzwei\n"
    assert await machine.files("read_bytes", path, range_header="bytes=0-2") == b"gr" + "ü".encode()[:1]
    assert await machine.files("read_file", path, offset=2, limit=1) == "zwei"
    found = (await machine.files("get_file_info", [path]))[path]
    assert (found.mode, found.size, found.entry_type) == (755, 12, "file")
    assert found.modified_at.timestamp() == pytest.approx(Path(path).stat().st_mtime, abs=1e-3)


async def test_files_of_every_kind_in_one_request(machine: Machine, tmp_path: Path) -> None:
    content = os.urandom(400_000)
    await machine.files(
        "write_files",
        [
            WriteEntry(path=str(tmp_path / "text"), data="text", mode=644),
            WriteEntry(path=str(tmp_path / "bytes"), data=content, mode=600),
            WriteEntry(path=str(tmp_path / "stream"), data=io.BytesIO(content), mode=640, owner=str(os.geteuid())),
        ],
    )
    assert [(tmp_path / name).read_bytes() for name in ("text", "bytes", "stream")] == [b"text", content, content]
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("text", "bytes", "stream")] == [0o644, 0o600, 0o640]


async def test_the_streaming_read(machine: Machine, variant: str, tmp_path: Path) -> None:
    content = os.urandom(1_000_000)
    (tmp_path / "file").write_bytes(content)
    chunks = await machine.files("read_bytes_stream", str(tmp_path / "file"))
    received = [chunk async for chunk in chunks] if variant == "async" else list(chunks)
    assert b"".join(received) == content


async def test_folders(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    await machine.files("create_directories", [WriteEntry(path=str(folder), mode=750)])
    await machine.files("write_file", str(folder / "file.py"), "x")
    listed = await machine.files("list_directory", DirectoryListEntry(path=str(tmp_path), depth=3))
    assert [(found.path, found.entry_type) for found in listed] == [
        (str(tmp_path / "a"), "directory"),
        (str(folder), "directory"),
        (str(folder / "file.py"), "file"),
    ]
    assert listed[1].mode == 750
    found = await machine.files("search", SearchEntry(path=str(tmp_path), pattern="*.py"))
    assert [entry.path for entry in found] == [str(folder / "file.py")]
    await machine.files("delete_directories", [str(tmp_path / "a")])
    assert list(tmp_path.iterdir()) == []
    assert await machine.files("list_directory", DirectoryListEntry(path=str(tmp_path))) == []


async def test_moving_changing_deleting(machine: Machine, tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "folder/b")
    await machine.files("write_file", a, "one two one")
    await machine.files("move_files", [MoveEntry(src=a, dest=b)])
    await machine.files("set_permissions", [SetPermissionEntry(path=b, mode=600)])
    replacement = ContentReplaceEntry(path=b, old_content="one", new_content="1")
    await machine.files("replace_contents", [ContentReplaceEntry(path=b, old_content="two", new_content="2")])
    [result] = await machine.files("replace_contents_detailed", [replacement])
    assert (result.path, result.replaced_count) == (b, 2)
    assert Path(b).read_text() == "1 2 1"
    assert Path(b).stat().st_mode & 0o777 == 0o600
    await machine.files("delete_files", [b, a])
    assert not Path(b).exists()


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
    machine: Machine, tmp_path: Path, method: str, argument: object, said: str
) -> None:
    if isinstance(argument, str):
        argument = argument.format(tmp_path)
    elif isinstance(argument, list):
        argument = [given.format(tmp_path) if isinstance(given, str) else given for given in argument]
    with pytest.raises(SandboxException, match=said):
        await machine.files(method, argument)


async def test_as_another_user(machine: Machine, public_folder: Path) -> None:
    public_folder.chmod(0o777)
    (public_folder / "ours").write_text("secret")
    (public_folder / "ours").chmod(0o600)
    uid, gid = (54321, 54322) if ROOT else (os.geteuid(), os.getegid())
    theirs = machine.files_as(uid, gid)
    await theirs("write_file", str(public_folder / "a/b"), "x")
    found = (await theirs("get_file_info", [str(public_folder / "a")]))[str(public_folder / "a")]
    assert (public_folder / "a/b").stat().st_uid == uid
    assert found.entry_type == "directory"
    refused = machine.files_as(54321, 54322)
    with pytest.raises(SandboxException, match="403"):
        await refused("read_file", str(public_folder / "ours"))


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
