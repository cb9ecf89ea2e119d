"""What the server refuses before it starts anything, and how it is reached."""

from __future__ import annotations

import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from execd import app
from execd.errors import CannotServe, FolderInUse
from execd.server import is_loopback, listen, run, url_of, warn, with_token
from execd.service.ceilings import Ceiling
from execd.service.folders import Folders
from execd.service.sandboxes import Sandboxes
from execd.settings import Settings


def settings(folder: Path, **given: object) -> Settings:
    return Settings.model_validate({"port": 0, "data_dir": folder / "data", **given})


def test_a_kernel_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "kernel.json").write_text("{")
    with pytest.raises(CannotServe, match=r"x/kernel\.json"):
        run(settings(tmp_path, kernels_dir=tmp_path))


def test_a_folder_of_kernels_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match=r"missing; EXECD_KERNELS_DIR"):
        run(settings(tmp_path, kernels_dir=tmp_path / "missing"))


def test_a_data_folder_serves_one_service(tmp_path: Path) -> None:
    used = settings(tmp_path)
    with Folders.claim(used), pytest.raises(FolderInUse, match="another execd already uses"):
        run(used)


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(CannotServe, match="EXECD_DATA_DIR names another"):
        run(settings(tmp_path))


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotServe, match=f"cannot listen on 127.0.0.1:{port}"):
            run(settings(tmp_path, port=port))


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
    ],
)
def test_which_hosts_are_loopback(host: str, ours: bool, tmp_path: Path) -> None:
    assert is_loopback(host) is ours
    token = with_token(settings(tmp_path, host=host)).access_token
    assert token is None if ours else len(token or "") == 32


def test_a_token_that_is_set_stays(tmp_path: Path) -> None:
    assert with_token(settings(tmp_path, host="0.0.0.0", access_token="mine")).access_token == "mine"


def test_the_url_of_a_listener(tmp_path: Path) -> None:
    with listen(settings(tmp_path)) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_url_of_an_ipv6_listener(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen(settings(tmp_path, host="::1")) as listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_it_says_that_it_serves_only_once_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> AbstractAsyncContextManager[Sandboxes]:
        raise OSError("no room")

    monkeypatch.setattr(app, "open_sandboxes", broken)
    with capture_logs() as lines, pytest.raises(SystemExit):
        run(settings(tmp_path))
    assert [line["event"] for line in lines if line["event"] == "serving"] == []


def ceiling(allows: int) -> Ceiling:
    return Ceiling("open files", "the hard limit", allows, 100, "about 7 contexts", "no more are started", "ulimit -Hn")


def test_a_limit_that_is_too_low_is_said_with_what_to_do() -> None:
    with capture_logs() as logs:
        warn([ceiling(99), ceiling(100)])
    [said] = logs
    assert (said["log_level"], said["event"], said["allowed"], said["may_need"]) == ("warning", "limit_low", 99, 100)
    assert said["enough_for"] == "about 7 contexts"
    assert said["how"].startswith("raise the hard limit (ulimit -Hn), or lower EXECD_MAX_SANDBOXES")
