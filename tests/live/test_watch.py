"""GET /files/watch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.live.reading import Stream
from tests.running_service import running_service


@contextmanager
def watching(client: httpx.Client, folder: Path, recursive: str = "") -> Iterator[Stream]:
    """A watch that misses nothing any more."""
    query = {"path": str(folder), "recursive": recursive}
    with client.stream("GET", "/files/watch", params=query) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer)
        stream.until(lambda event: event["type"] == "init")
        yield stream


def until(stream: Stream, kind: str, path: Path) -> None:
    event = stream.until(lambda event: (event["type"], event.get("path")) == (kind, str(path)))
    assert isinstance(event["timestamp"], int)


def test_changes_are_told_as_they_happen(client: httpx.Client, tmp_path: Path) -> None:
    with watching(client, tmp_path) as stream:
        for name in ("a", "b \u2028"):
            (tmp_path / name).touch()
            until(stream, "file_created", tmp_path / name)
            (tmp_path / name).write_text("x")
            until(stream, "file_modified", tmp_path / name)
            (tmp_path / name).unlink()
            until(stream, "file_deleted", tmp_path / name)


def test_what_code_writes_is_told(client: httpx.Client, tmp_path: Path) -> None:
    with watching(client, tmp_path, "true") as stream:
        body = {"context": {"language": "python"}, "code": f"open({str(tmp_path / 'plot.txt')!r}, 'w').close()"}
        client.post("/code", json=body)
        until(stream, "file_created", tmp_path / "plot.txt")


def test_pings_come_in_between(tight: httpx.Client, tmp_path: Path) -> None:
    with watching(tight, tmp_path) as stream:
        for _ in range(3):
            assert stream.until(lambda event: event["type"] == "ping")["text"] == "pong"


@pytest.mark.parametrize(
    ("name", "recursive", "status", "code"),
    [
        ("missing", "", 404, "FILE_NOT_FOUND"),
        ("file", "", 400, "INVALID_FILE"),
        (".", "perhaps", 400, "INVALID_REQUEST_BODY"),
    ],
)
def test_what_is_not_watched(
    client: httpx.Client, tmp_path: Path, name: str, recursive: str, status: int, code: str
) -> None:
    (tmp_path / "file").touch()
    answer = client.get("/files/watch", params={"path": str(tmp_path / name), "recursive": recursive})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_watches_of_clients_that_went_away_are_over(client: httpx.Client, tmp_path: Path) -> None:
    for _ in range(70):
        assert client.head("/files/watch", params={"path": str(tmp_path)}).status_code == 200
    for _ in range(70):
        with watching(client, tmp_path):
            pass


def test_a_service_that_stops_ends_its_watches(tmp_path: Path) -> None:
    (tmp_path / "watched").mkdir()
    # So patient that it would wait for a stream that did not end by itself.
    with running_service(tmp_path, shutdown_grace=3600) as service, service.client() as client:
        with (
            watching(client, tmp_path / "watched") as stream,
            client.stream("GET", "/metrics/watch") as readings,
        ):
            lines = readings.iter_lines()
            next(lines)
            service.process.terminate()
            assert stream.rest()[-1]["type"] in ("init", "ping")
            assert len(list(lines)) < 10
        assert service.process.wait(30) in (0, -signal.SIGTERM)
