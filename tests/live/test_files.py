"""Files over HTTP: shown, found, moved, changed, deleted."""

from __future__ import annotations

import os
import socket
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running_service import RunningService


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """The status of a refusal and its code; it says something, too."""
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["message"]
    return answer.status_code, body["code"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("one two one")
    path.chmod(0o640)
    return path


def info(client: httpx.Client, *paths: Path | str) -> httpx.Response:
    return client.get("/files/info", params={"path": [str(path) for path in paths]})


def test_what_is_known_is_shown_by_the_paths_as_asked(client: httpx.Client, file: Path) -> None:
    (file.parent / "link").symlink_to("file.txt")
    odd = f"{file.parent}/./file.txt"
    found = info(client, file, file.parent, file.parent / "link", odd).json()
    assert list(found) == [str(file), str(file.parent), str(file.parent / "link"), odd]
    shown = found[str(file)]
    assert {name: shown[name] for name in ("path", "type", "size", "mode")} == {
        "path": str(file),
        "type": "file",
        "size": 11,
        "mode": 640,
    }
    assert shown["owner"] == found[str(file.parent)]["owner"]
    assert datetime.fromisoformat(shown["modified_at"]).timestamp() == pytest.approx(file.stat().st_mtime, abs=1e-3)
    assert datetime.fromisoformat(shown["created_at"]).timestamp() == pytest.approx(file.stat().st_ctime, abs=1e-3)
    assert [found[str(path)]["type"] for path in (file.parent, file.parent / "link")] == ["directory", "symlink"]


def test_no_path_shows_nothing(client: httpx.Client) -> None:
    assert client.get("/files/info").json() == {}


def test_relative_paths_are_below_the_workspace(client: httpx.Client, service: RunningService) -> None:
    (service.data_dir / "workspace/relative.txt").write_text("x")
    assert info(client, "relative.txt").json()["relative.txt"]["path"] == str(
        service.data_dir / "workspace/relative.txt"
    )


def test_variables_and_home_are_expanded(client: httpx.Client) -> None:
    found = info(client, "$HOME", "~", "${HOME}").json()
    assert len({shown["path"] for shown in found.values()}) == 1
    assert "EXECD_DATA_DIR" in info(client, "$EXECD_DATA_DIR").json()["message"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("missing", 404, "FILE_NOT_FOUND"),
        ("file.txt/below", 400, "INVALID_FILE"),
        ("loop/x", 400, "INVALID_FILE"),
        ("n" * 300, 400, "INVALID_FILE"),
        ("nul\0", 400, "INVALID_REQUEST_BODY"),
    ],
)
def test_paths_that_lead_nowhere(client: httpx.Client, file: Path, path: str, status: int, code: str) -> None:
    (file.parent / "loop").symlink_to("loop")
    assert code_of(info(client, f"{file.parent}/{path}")) == (status, code)
    download = client.get("/files/download", params={"path": f"{file.parent}/{path}"})
    assert code_of(download) == (status, code)


def test_an_empty_path_is_no_path(client: httpx.Client) -> None:
    assert code_of(info(client, "")) == (400, "INVALID_REQUEST_BODY")
    for route in ("/files/download", "/files/search", "/files/watch", "/directories/list"):
        assert code_of(client.get(route)) == (400, "MISSING_QUERY")
        assert code_of(client.get(route, params={"path": ""})) == (400, "MISSING_QUERY")


class TestDelete:
    """DELETE /files."""

    def test_files_go_and_missing_ones_are_no_failure(self, client: httpx.Client, file: Path) -> None:
        answer = client.delete("/files", params={"path": [str(file), str(file.parent / "missing")]})
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
        assert not file.exists()

    def test_a_folder_is_refused(self, client: httpx.Client, file: Path) -> None:
        answer = client.delete("/files", params={"path": str(file.parent)})
        assert code_of(answer) == (500, "RUNTIME_ERROR")
        assert file.exists()

    def test_nothing_named_is_nothing_deleted(self, client: httpx.Client) -> None:
        assert client.delete("/files").status_code == 200


class TestPermissions:
    """POST /files/permissions."""

    @pytest.mark.parametrize("empty", [None, ""])
    def test_octal_digits_are_written_as_a_number(self, client: httpx.Client, file: Path, empty: str | None) -> None:
        body = {str(file): {"mode": 4711, "owner": empty, "group": empty}}
        assert client.post("/files/permissions", json=body).status_code == 200
        assert stat.S_IMODE(file.stat().st_mode) == 0o4711

    def test_zero_leaves_the_mode_alone(self, client: httpx.Client, file: Path) -> None:
        body = {str(file): {"mode": 0, "owner": str(os.geteuid())}}
        assert client.post("/files/permissions", json=body).status_code == 200
        assert stat.S_IMODE(file.stat().st_mode) == 0o640

    @pytest.mark.parametrize(
        "asked",
        [{"mode": 888}, {"mode": -1}, {"mode": 77777}, {"mode": "755"}, {"mode": 7.5}, {"owner": "no-such-user"}],
    )
    def test_what_cannot_be_had(self, client: httpx.Client, file: Path, asked: dict[str, Any]) -> None:
        answer = client.post("/files/permissions", json={str(file): asked})
        assert code_of(answer) == (400, "INVALID_REQUEST_BODY")
        assert next(iter(asked)) in answer.json()["message"]

    def test_what_is_missing(self, client: httpx.Client, file: Path) -> None:
        body = {str(file.parent / "missing"): {"mode": 644}}
        assert code_of(client.post("/files/permissions", json=body)) == (404, "FILE_NOT_FOUND")


class TestMove:
    """POST /files/mv."""

    def move(self, client: httpx.Client, source: Path, destination: Path) -> httpx.Response:
        return client.post("/files/mv", json=[{"src": str(source), "dest": str(destination)}])

    def test_the_folders_above_are_made(self, client: httpx.Client, file: Path) -> None:
        assert self.move(client, file, file.parent / "a/b/c").status_code == 200
        assert (file.parent / "a/b/c").read_text() == "one two one"

    def test_folders_move_too(self, client: httpx.Client, file: Path) -> None:
        (file.parent / "folder").mkdir()
        (file.parent / "folder/x").touch()
        assert self.move(client, file.parent / "folder", file.parent / "moved").status_code == 200
        assert (file.parent / "moved/x").exists()

    def test_nothing_is_replaced(self, client: httpx.Client, file: Path) -> None:
        other = file.with_name("other")
        other.touch()
        assert code_of(self.move(client, file, other)) == (500, "RUNTIME_ERROR")
        assert code_of(self.move(client, file.parent / "missing", other)) == (404, "FILE_NOT_FOUND")
        assert file.read_text() == "one two one"

    @pytest.mark.parametrize(
        "body", [{}, [1], [{"src": "a"}], [{"src": "a", "dest": ""}], [{"src": "a\0", "dest": "b"}]]
    )
    def test_another_body_is_refused(self, client: httpx.Client, body: Any) -> None:
        assert code_of(client.post("/files/mv", json=body)) == (400, "INVALID_REQUEST_BODY")

    def test_from_one_disk_to_another(self, client: httpx.Client, file: Path) -> None:
        memory = Path(f"/dev/shm/execd-test-{os.getpid()}")
        assert memory.parent.stat().st_dev != file.stat().st_dev
        try:
            assert self.move(client, file, memory).status_code == 200
            assert memory.read_text() == "one two one"
            assert not file.exists()
        finally:
            memory.unlink(missing_ok=True)


class TestReplace:
    """POST /files/replace."""

    def test_the_counts_are_told_when_asked_for(self, client: httpx.Client, file: Path) -> None:
        other = file.with_name("other")
        other.write_text("nothing")
        body = {str(file): {"old": "one", "new": "1"}, str(other): {"old": "one", "new": "1"}}
        answer = client.post("/files/replace", params={"verbose": "true"}, json=body)
        assert answer.json() == {str(file): {"replacedCount": 2}, str(other): {"replacedCount": 0}}
        assert (file.read_text(), other.read_text()) == ("1 two 1", "nothing")

    def test_nothing_is_told_otherwise(self, client: httpx.Client, file: Path) -> None:
        answer = client.post("/files/replace", json={str(file): {"old": "two", "new": "zwei\u2028"}})
        assert (answer.status_code, answer.content) == (200, b"")
        assert file.read_text() == "one zwei\u2028 one"
        assert stat.S_IMODE(file.stat().st_mode) == 0o640

    def test_what_cannot_be_replaced(self, client: httpx.Client, file: Path) -> None:
        for path, asked, status, code in [
            (file, {"old": "", "new": "x"}, 400, "INVALID_REQUEST_BODY"),
            (file, {"old": "x"}, 400, "INVALID_REQUEST_BODY"),
            (file.with_name("missing"), {"old": "x", "new": ""}, 404, "FILE_NOT_FOUND"),
            (file.parent, {"old": "x", "new": ""}, 400, "INVALID_FILE"),
        ]:
            assert code_of(client.post("/files/replace", json={str(path): asked})) == (status, code)


class TestSearch:
    """GET /files/search."""

    def test_base_names_of_files_are_compared(self, client: httpx.Client, tmp_path: Path) -> None:
        for name in ["a.py", "b/c.py", "b/d.txt", "e.py/f.md"]:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        for pattern, names in [
            ("*.py", ["a.py", "b/c.py"]),
            ("{c,d}.*", ["b/c.py", "b/d.txt"]),
            ("", ["a.py", "b/c.py", "b/d.txt", "e.py/f.md"]),
        ]:
            found = client.get("/files/search", params={"path": str(tmp_path), "pattern": pattern}).json()
            assert [shown["path"] for shown in found] == [str(tmp_path / name) for name in names]
        everything = client.get("/files/search", params={"path": str(tmp_path)}).json()
        assert len(everything) == 4

    @pytest.mark.parametrize(
        ("query", "status", "code"),
        [
            ({"path": "{}/missing"}, 404, "FILE_NOT_FOUND"),
            ({"path": "{}/file.txt"}, 400, "INVALID_FILE"),
            ({"path": "{}", "pattern": "["}, 400, "INVALID_REQUEST_BODY"),
        ],
    )
    def test_what_cannot_be_searched(
        self, client: httpx.Client, file: Path, query: dict[str, str], status: int, code: str
    ) -> None:
        filled = {name: value.format(file.parent) for name, value in query.items()}
        assert code_of(client.get("/files/search", params=filled)) == (status, code)

    def test_very_many_are_streamed(self, client: httpx.Client, tmp_path: Path) -> None:
        for at in range(2500):
            (tmp_path / f"{at:04}").touch()
        answer = client.get("/files/search", params={"path": str(tmp_path)})
        assert answer.headers["content-type"] == "application/json"
        assert [shown["path"] for shown in answer.json()] == [f"{tmp_path}/{at:04}" for at in range(2500)]


@pytest.mark.parametrize("kind", ["FIFO", "socket", "character device", "directory"])
def test_what_is_no_regular_file_is_never_read(client: httpx.Client, tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "character device" else tmp_path / "there"
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "FIFO":
            os.mkfifo(path)
        elif kind == "socket":
            listener.bind(str(path))
        elif kind == "directory":
            path.mkdir()
        refusals = [
            client.get("/files/download", params={"path": str(path)}),
            client.get("/files/download", params={"path": str(path), "limit": 1}),
            client.post("/files/replace", json={str(path): {"old": "a", "new": "b"}}),
        ]
    for answer in refusals:
        assert code_of(answer) == (400, "INVALID_FILE")
        assert f"is a {kind}" in answer.json()["message"]
