"""One large file out and in, over HTTP, and what the service keeps of it in memory."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, urlsplit

from benchmarks.errors import RowFailed
from benchmarks.floors.nginx import nginx
from benchmarks.floors.sink import poured, sink
from benchmarks.measure import Samples, Take
from benchmarks.processes import forget_peak, peak_rss, rss
from benchmarks.row import AtMost, Claim, Row
from benchmarks.service import Service
from benchmarks.transfer import MULTIPART, download, multipart, pieces, upload
from benchmarks.workbench import Workbench

_MIB = 1024 * 1024
_Address = tuple[str, int]


@contextmanager
def _open_download(workbench: Workbench) -> Iterator[list[Take]]:
    with (
        _source(workbench) as source,
        nginx(source.parent) as floor,
        workbench.service(workspace=str(source.parent)) as service,
    ):
        _compare(_address(service), source)
        yield [
            lambda: {"execd": [_downloaded(_address(service), _path(source), source)]},
            lambda: {"nginx": [_downloaded(floor, f"/{source.name}", source)]},
        ]


@contextmanager
def _open_upload(workbench: Workbench) -> Iterator[list[Take]]:
    with (
        _source(workbench) as source,
        sink(_target_of(source)) as floor,
        workbench.service(workspace=str(source.parent)) as service,
    ):
        yield [
            lambda: {"execd": [_uploaded(_address(service), source)]},
            lambda: {"socket to file": [_poured(floor, source)]},
        ]


@contextmanager
def _open_upload_beside_nginx(workbench: Workbench) -> Iterator[list[Take]]:
    with (
        _source(workbench) as source,
        nginx(source.parent) as floor,
        workbench.service(workspace=str(source.parent)) as service,
    ):
        yield [
            lambda: {"execd": [_uploaded(_address(service), source)]},
            lambda: _put(floor, source),
        ]


@contextmanager
def _open_memory(workbench: Workbench) -> Iterator[list[Take]]:
    with _source(workbench) as source, workbench.service(workspace=str(source.parent)) as service:
        address = _address(service)
        yield [
            lambda: {"download": [_growth(service, lambda: _downloaded(address, _path(source), source))]},
            lambda: {"upload": [_growth(service, lambda: _uploaded(address, source))]},
        ]


@contextmanager
def _source(workbench: Workbench) -> Iterator[Path]:
    """A file of the size that is wanted, in a folder of its own."""
    with TemporaryDirectory(prefix="files") as folder:
        source = Path(folder) / "source"
        with source.open("wb") as file:
            for _ in range(workbench.file_mib):
                file.write(os.urandom(_MIB))
            # What is still to be written would be written while the clock runs.
            os.fsync(file.fileno())
        yield source


def _address(service: Service) -> _Address:
    parts = urlsplit(service.url)
    return parts.hostname or "", parts.port or 80


def _path(source: Path) -> str:
    # Its folder is the workspace, wherever that is for the sandbox.
    return f"/files/download?path={quote(source.name)}"


def _compare(address: _Address, source: Path) -> None:
    arrived = hashlib.sha256()
    download(address, _path(source), arrived.update)
    with source.open("rb") as file:
        if arrived.digest() != hashlib.file_digest(file, "sha256").digest():
            raise RowFailed("what was downloaded is not what is in the file")


def _downloaded(address: _Address, path: str, source: Path) -> float:
    seconds, size = download(address, path)
    if size != source.stat().st_size:
        raise RowFailed(f"GET {path} gave {size} of {source.stat().st_size} bytes")
    return seconds


def _uploaded(address: _Address, source: Path) -> float:
    with _target(source) as target:
        body = multipart(json.dumps({"path": target.name}), pieces(source))
        return upload(address, "POST", "/files/upload", body, MULTIPART)


def _put(address: _Address, source: Path) -> Samples:
    with _target(source) as target:
        seconds = upload(address, "PUT", f"/{target.name}", pieces(source))
        return {"nginx": [seconds], "nginx, and fsync": [seconds + _synced(target)]}


def _poured(address: _Address, source: Path) -> float:
    with _target(source):
        return poured(address, pieces(source))


def _synced(file: Path) -> float:
    started = time.perf_counter()
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    seconds = time.perf_counter() - started
    os.close(descriptor)
    return seconds


def _target_of(source: Path) -> Path:
    return source.with_name("target")


@contextmanager
def _target(source: Path) -> Iterator[Path]:
    """Where the file is to be uploaded to: nothing is there before, and afterwards the file must be, and goes again."""
    target = _target_of(source)
    yield target
    if not filecmp.cmp(source, target, shallow=False):
        raise RowFailed("what was uploaded is not what is in the file")
    target.unlink()


def _growth(service: Service, transfer: Callable[[], float]) -> float:
    before = rss(service.pid)
    forget_peak(service.pid)
    transfer()
    return peak_rss(service.pid) - before


ROWS = (
    Row(
        "download",
        "how soon a large file has been downloaded",
        "s",
        (Claim("execd", "nginx", AtMost(1.1)),),
        _open_download,
    ),
    Row(
        "upload",
        "how soon a large file has been uploaded",
        "s",
        (Claim("execd", "socket to file", AtMost(1.3)),),
        _open_upload,
    ),
    Row(
        "upload-nginx",
        "the same beside a web server",
        "s",
        (Claim("execd", "nginx", AtMost(1.3)), Claim("execd", "nginx, and fsync")),
        _open_upload_beside_nginx,
    ),
    Row(
        "transfer-memory",
        "whether large files weigh on everybody: growth of the server's memory",
        "MB",
        (Claim("download"), Claim("upload")),
        _open_memory,
        rounds=3,
    ),
)
