"""POST /files/upload."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.uploading import Pair, put, upload
from tests.live.waiting import eventually
from tests.running_service import RunningService

MIB = 1024 * 1024


def test_files_have_what_was_asked_for(client: httpx.Client, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    pairs: list[Pair] = [
        ({"path": str(tmp_path / "a/b/ä \u2028.bin"), "mode": 755, "owner": None, "group": None}, content),
        ({"path": str(tmp_path / "empty"), "mode": 600, "owner": "", "group": ""}, b""),
        ({"path": str(tmp_path / "alone")}, b"x"),
    ]
    answer = upload(client, *pairs)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert (tmp_path / "a/b/ä \u2028.bin").read_bytes() == content
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {"ä \u2028.bin": 0o755, "empty": 0o600, "alone": 0o644}


def test_created_folders_have_the_files_owner(client: httpx.Client, tmp_path: Path) -> None:
    owner, group = ("54321", "54322") if os.geteuid() == 0 else (str(os.geteuid()), str(os.getegid()))
    metadata = {"path": str(tmp_path / "a/b/c"), "mode": 640, "owner": owner, "group": group}
    assert upload(client, (metadata, b"x")).status_code == 200
    for path in [tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c"]:
        assert (str(path.stat().st_uid), str(path.stat().st_gid)) == (owner, group)


def test_a_file_is_replaced_and_keeps_what_was_not_asked_for(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("something longer")
    (tmp_path / "a").chmod(0o604)
    put(client, tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o604


def test_more_pairs_than_forms_usually_have(client: httpx.Client, tmp_path: Path) -> None:
    pairs = [({"path": str(tmp_path / str(at)), "mode": 644}, b"%d" % at) for at in range(1200)]
    assert upload(client, *pairs).status_code == 200
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {str(at): b"%d" % at for at in range(1200)}


def test_the_file_names_of_the_parts_lead_nowhere(client: httpx.Client, tmp_path: Path) -> None:
    away = f"../../../../../../../../../..{tmp_path}"
    parts = [
        ("metadata", (f"{away}/one", json.dumps({"path": f"{tmp_path}/there/file"}).encode(), "application/json")),
        ("file", (f"{away}/two", b"x", "application/octet-stream")),
    ]
    assert client.post("/files/upload", files=parts).status_code == 200
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "file"]


def raw_body(tmp_path: Path, order: str) -> bytes:
    """Two pairs, their parts in an order given by m (metadata) and f (file); raw UTF-8 in the file's name."""
    metadata, files = iter("ab"), iter([b"A", b"B"])
    body = b""
    for kind in order:
        name = "metadata" if kind == "m" else "file"
        content = json.dumps({"path": f"{tmp_path}/{next(metadata)}"}).encode() if kind == "m" else next(files)
        body += f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="ü.txt"\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + b"--x--\r\n"


@pytest.mark.parametrize("order", ["mfmf", "mmff", "ffmm", "fmfm", "fmmf"])
def test_parts_are_paired_by_their_order(client: httpx.Client, tmp_path: Path, order: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/files/upload", content=raw_body(tmp_path, order), headers=headers)
    assert answer.status_code == 200
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"A", b"B")


def test_a_body_may_come_in_chunks_of_unknown_length(client: httpx.Client, tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        for byte in raw_body(tmp_path, "mfmf"):
            yield bytes([byte])

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/files/upload", content=chunks(), headers=headers).status_code == 200
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"A", b"B")


METADATA = ("metadata", ("metadata", b'{"path": "upload-test"}', "application/json"))
FILE = ("file", ("file", b"x", "text/plain"))


def metadata_of(text: bytes) -> tuple[str, tuple[str, bytes, str]]:
    return "metadata", ("metadata", text, "application/json")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([FILE], "INVALID_FILE_METADATA"),
        ([METADATA], "INVALID_FILE_CONTENT"),
        ([METADATA, FILE, FILE], "INVALID_FILE"),
        ([METADATA, METADATA, FILE], "INVALID_FILE"),
        ([metadata_of(b"{"), FILE], "INVALID_FILE_METADATA"),
        ([metadata_of(b"[]"), FILE], "INVALID_FILE_METADATA"),
        ([metadata_of(b"{}"), FILE], "INVALID_FILE_METADATA"),
        ([metadata_of(b'{"path": ""}'), FILE], "INVALID_FILE_METADATA"),
        ([metadata_of(b'{"path": "a\\u0000b"}'), FILE], "INVALID_FILE_METADATA"),
        ([metadata_of(b'{"path": "a", "mode": 999}'), FILE], "INVALID_FILE_METADATA"),
        ([metadata_of(b'{"path": "/tmp"}'), FILE], "INVALID_FILE"),
        ([metadata_of(b'{"path": "/dev/null"}'), FILE], "INVALID_FILE"),
        ([metadata_of(b'{"path": "/dev/null/x"}'), FILE], "INVALID_FILE"),
        ([metadata_of(b'{"path": "a", "owner": "no-such-user"}'), FILE], "INVALID_REQUEST_BODY"),
    ],
)
def test_what_does_not_fit_together(client: httpx.Client, service: RunningService, parts: list[Any], code: str) -> None:
    answer = client.post("/files/upload", files=parts)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    names = [path.name for path in (service.data_dir / "workspace").iterdir()]
    assert [name for name in names if name.startswith((".execd", "upload-test"))] == []


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data"])
def test_another_type_of_body(client: httpx.Client, content_type: str) -> None:
    answer = client.post("/files/upload", content=b"{}", headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_FILE")


def test_an_upload_that_is_cut_off_changes_nothing_and_leaves_nothing(
    service: RunningService, client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    body = raw_body(tmp_path, "mfmf")
    logged = service.log_file.stat().st_size
    host, port = service.authority.split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /files/upload HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(
            f"{head}Content-Length: {4 * MIB}\r\n\r\n".encode() + body.split(b"B\r\n")[0] + b"B" * 2 * MIB
        )
        eventually(lambda: any(path.name.startswith(".execd") for path in tmp_path.iterdir()))
        assert (tmp_path / "a").read_bytes() == b"old"
    eventually(lambda: [path.name for path in tmp_path.iterdir()] == ["a"])
    assert (tmp_path / "a").read_bytes() == b"old"
    assert client.get("/ping").status_code == 200
    assert b'"level": "error"' not in service.log_file.read_bytes()[logged:]


def test_memory_does_not_grow_with_the_file(service: RunningService, client: httpx.Client, tmp_path: Path) -> None:
    size = 256
    block = os.urandom(MIB)
    put(client, tmp_path / "warm", b"x")

    def chunks() -> Iterator[bytes]:
        yield raw_body(tmp_path, "mf").removesuffix(b"A\r\n--x--\r\n")
        for _ in range(size):
            yield block
        yield b"\r\n--x--\r\n"

    before = memory(service, "VmRSS")
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/files/upload", content=chunks(), headers=headers).status_code == 200
    assert (tmp_path / "a").stat().st_size == size * MIB
    assert memory(service, "VmHWM") - before < 64 * MIB
    (tmp_path / "a").unlink()


def memory(service: RunningService, field: str) -> int:
    """A figure of the service's /proc/PID/status, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024
