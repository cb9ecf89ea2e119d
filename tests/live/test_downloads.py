"""GET /files/download."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.running_service import RunningService

CONTENT = b"".join(b"line %d\r\n" % at for at in range(1, 6)) + b"tail\n"
MIB = 1024 * 1024


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(CONTENT)
    return path


def download(client: httpx.Client, path: Path | str, query: str = "", **headers: str) -> httpx.Response:
    plain = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(
        f"/files/download?{query}", params={"path": str(path)} | dict(httpx.QueryParams(query)), headers=plain
    )


def test_a_whole_file(client: httpx.Client, file: Path) -> None:
    answer = download(client, file)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-disposition"] == 'attachment; filename="file.txt"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert {"etag", "last-modified"} <= set(answer.headers)


@pytest.mark.parametrize("size", [0, 1, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 * MIB + 7])
def test_files_of_any_size(client: httpx.Client, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    answer = download(client, tmp_path / "file")
    assert answer.content == content
    assert answer.headers["content-length"] == str(size)


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-3", 0, 3), ("bytes=2-", 2, 44), ("bytes=-5", 40, 44), ("bytes=1-2,5-6", 1, 2), ("bytes=40-999", 40, 44)],
)
def test_ranges(client: httpx.Client, file: Path, asked: str, first: int, last: int) -> None:
    answer = download(client, file, range=asked)
    assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/45"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["bytes=45-", "bytes=x", "lines=1-2", "bytes=3-1", "bytes=-0"])
def test_ranges_that_are_none(client: httpx.Client, file: Path, asked: str) -> None:
    answer = download(client, file, range=asked)
    assert (answer.status_code, answer.json()["code"]) == (416, "UNKNOWN")
    assert answer.headers["content-range"] == "bytes */45"


def test_a_client_that_has_it_already_is_told_so(client: httpx.Client, file: Path) -> None:
    etag = download(client, file).headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        answer = download(client, file, if_none_match=known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert download(client, file, if_none_match='"other"').status_code == 200


def test_a_range_of_another_content_gives_it_all(client: httpx.Client, file: Path) -> None:
    first = download(client, file)
    for validator in (first.headers["etag"], first.headers["last-modified"]):
        assert download(client, file, range="bytes=0-1", if_range=validator).status_code == 206
    file.write_bytes(b"changed")
    answer = download(client, file, range="bytes=0-1", if_range=first.headers["etag"])
    assert (answer.status_code, answer.content) == (200, b"changed")


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("offset=1", b"line 1\nline 2\nline 3\nline 4\nline 5\ntail"),
        ("offset=2&limit=2", b"line 2\nline 3"),
        ("limit=1", b"line 1"),
        ("offset=5&limit=9", b"line 5\ntail"),
        ("offset=7", b""),
    ],
)
def test_lines(client: httpx.Client, file: Path, query: str, lines: bytes) -> None:
    answer = download(client, file, query)
    assert (answer.status_code, answer.content) == (200, lines)
    assert answer.headers["content-type"].startswith("text/plain")


def test_lines_of_a_long_file(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"".join(b"%07d\n" % at for at in range(1, 200_001)))
    assert download(client, tmp_path / "file", "offset=199999").content == b"0199999\n0200000"
    whole = download(client, tmp_path / "file", "offset=1").content
    assert whole == (tmp_path / "file").read_bytes()[:-1]


@pytest.mark.parametrize(
    "query", ["offset=0", "limit=0", "offset=-1", "limit=x", "offset=1.5", "offset=99999999999999999999"]
)
def test_lines_that_are_none(client: httpx.Client, file: Path, query: str) -> None:
    answer = download(client, file, query)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


def test_lines_and_ranges_exclude_each_other(client: httpx.Client, file: Path) -> None:
    assert download(client, file, "offset=1", range="bytes=0-1").status_code == 400


def test_names_that_are_not_ascii(client: httpx.Client, tmp_path: Path) -> None:
    name = 'grün "x".txt'
    (tmp_path / name).touch()
    shown = download(client, tmp_path / name).headers["content-disposition"]
    assert shown == 'attachment; filename="gr_n \\"x\\".txt"; filename*=UTF-8\'\'gr%C3%BCn%20%22x%22.txt'


@pytest.mark.parametrize("path", ["/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/version"])
def test_files_that_tell_no_true_size(client: httpx.Client, path: str) -> None:
    answer = download(client, path)
    assert answer.status_code == 200
    assert "content-length" not in answer.headers
    if path != "/proc/self/status":
        assert answer.content == Path(path).read_bytes()
    assert answer.content


def test_head_tells_the_size(client: httpx.Client, file: Path) -> None:
    answer = client.head("/files/download", params={"path": str(file)})
    assert (answer.headers["content-length"], answer.content) == ("45", b"")
    assert client.head("/files/download", params={"path": str(file), "offset": "1"}).content == b""


class TestLongDownload:
    """Something happens to a file while it is sent."""

    @pytest.fixture
    def big(self, tmp_path: Path) -> Path:
        path = tmp_path / "big"
        with path.open("wb") as file:
            file.truncate(256 * MIB)
        return path

    def test_a_file_that_gets_shorter_ends_the_connection(
        self, client: httpx.Client, service: RunningService, big: Path
    ) -> None:
        with client.stream("GET", "/files/download", params={"path": str(big)}) as answer:
            assert answer.headers["content-length"] == str(256 * MIB)
            chunks = answer.iter_raw()
            next(chunks)
            os.truncate(big, 1000)
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
                for _ in chunks:
                    pass
        assert "download_broke" in service.log_file.read_text()
        assert client.get("/ping").status_code == 200

    def test_a_file_that_is_deleted_arrives_whole(self, client: httpx.Client, big: Path) -> None:
        with client.stream("GET", "/files/download", params={"path": str(big)}) as answer:
            chunks = answer.iter_raw()
            size = len(next(chunks))
            big.unlink()
            assert size + sum(map(len, chunks)) == 256 * MIB

    def test_a_client_that_goes_leaves_no_descriptor_open(
        self, service: RunningService, client: httpx.Client, big: Path
    ) -> None:
        with client.stream("GET", "/files/download", params={"path": str(big)}) as answer:
            next(answer.iter_raw())
        links = Path(f"/proc/{service.process.pid}/fd")
        # Asked for twice, for the connection's end has its own way to the service.
        for _ in range(1000):
            client.get("/ping")
            if not any(str(big) in str(link.readlink()) for link in links.iterdir() if link.is_symlink()):
                return
        pytest.fail("the file is still open")
