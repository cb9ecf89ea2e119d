"""Starting: on open addresses only with a token, and with one readable line when it cannot be."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.live.commanding import printed
from tests.live.reading import run, text_of
from tests.running_service import RunningService, running_service


def serve(data_dir: Path, *options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What came of it, with the programs of this folder, if there is one, before all others."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    if path is not None:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    command = [sys.executable, "-m", "execd", "serve", "--data-dir", str(data_dir), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def assert_one_line(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: ")
    for word in words:
        assert word in line


def test_a_port_that_is_taken(service: RunningService, tmp_path: Path) -> None:
    port = service.authority.rpartition(":")[2]
    assert_one_line(serve(tmp_path / "data", "--port", port), port, "--port")


def test_a_data_folder_that_is_taken(service: RunningService) -> None:
    assert_one_line(serve(service.data_dir, "--port", "0"), str(service.data_dir), "EXECD_DATA_DIR")


def test_a_data_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_one_line(serve(tmp_path / "file" / "data", "--port", "0"), "data folder", "EXECD_DATA_DIR")


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    assert_one_line(serve(tmp_path, "--host", "192.0.2.1", "--port", "0"), "192.0.2.1", "--host")


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A folder with a bubblewrap that makes no sandboxes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "bwrap").symlink_to("/bin/false")
    return folder


def test_walls_that_are_not_to_be_had(forbidden: Path, tmp_path: Path) -> None:
    ended = serve(tmp_path / "data", "--port", "0", "--isolation", "bwrap", path=forbidden)
    assert_one_line(ended, "bwrap: bubblewrap has ended without a word", "deploy/README.md", "EXECD_ISOLATION=process")
    assert_no_warden_is_left(tmp_path / "data")


def assert_no_warden_is_left(data_dir: Path) -> None:
    with (data_dir / "warden" / "warden.lock").open() as lock:
        # It holds the lock as long as it lives, and is let go only after it has hung up.
        signal.alarm(30)
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.alarm(0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--kernel-python", "/no/python"), "EXECD_KERNEL_PYTHON: /no/python does not run: No such file"),
        (("--kernel-python", "/bin/true"), "EXECD_KERNEL_PYTHON: /bin/true does not run: it is no Python"),
        (("--egress-allow", '["not a host"]'), "EXECD_EGRESS_ALLOW: expected a name"),
        (("--isolation", "landlock", "--network", "full"), "EXECD_NETWORK=full is not to be had: in the mode landlock"),
        (("--isolation", "process", "--network", "proxy"), "EXECD_NETWORK=proxy is not to be had: without walls"),
    ],
)
def test_what_no_sandbox_could_be_made_with(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert_one_line(serve(tmp_path / "data", "--port", "0", *options), said)


def test_a_warden_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "data" / "warden" / "warden.sock").mkdir(parents=True)
    assert_one_line(serve(tmp_path / "data", "--port", "0"), "the warden did not start", "Is a directory", "warden.log")


def test_a_data_folder_that_every_sandbox_would_see(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    data_dir = tmp_path / "kernels" / "data"
    assert_one_line(serve(data_dir, "--port", "0", "--kernels-dir", str(tmp_path / "kernels")), str(data_dir))


@pytest.mark.parametrize("mode", ["bwrap", "landlock", "process"])
def test_it_says_which_walls_there_are(mode: str, public_folder: Path) -> None:
    with running_service(public_folder, 0 if os.geteuid() == 0 else None, isolation=mode) as service:
        lines = [json.loads(line) for line in service.log_file.read_text().splitlines()]
    assert [line["isolation"] for line in lines if line["event"] == "serving"] == [mode]
    assert ["no_walls" in line["event"] for line in lines].count(True) == (mode == "process")
    assert service.process.returncode == 0
    assert not any(json.loads(line)["level"] == "error" for line in service.log_file.read_text().splitlines())


@pytest.mark.parametrize("options", [("--port", "none"), ("--allowed-hosts", "not json"), ("--run-timeout", "-1")])
def test_options_that_make_no_sense(tmp_path: Path, options: tuple[str, str]) -> None:
    ended = serve(tmp_path, *options)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert options[0].strip("-").replace("-", "_") in ended.stderr.replace("-", "_")


def test_bound_to_every_address_it_makes_a_token_and_prints_it(tmp_path: Path) -> None:
    with running_service(tmp_path, host="0.0.0.0") as service:
        lines = [json.loads(line) for line in service.log_file.read_text().splitlines()]
        (made,) = [line for line in lines if line["event"] == "access_token_made"]
        base_url = service.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{base_url}/code/contexts").status_code == 401
        admitted = httpx.get(f"{base_url}/code/contexts", headers={"X-EXECD-ACCESS-TOKEN": made["token"]})
        assert admitted.status_code == 200
        assert httpx.get(f"{base_url}/ping").status_code == 200


# As nohup, or a script that starts it with &, makes it.
_IGNORING = """
import signal
for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(signum, signal.SIG_IGN)
from execd.cli import main
main()
"""
_WHAT_IS_IGNORED = "sed -n 's/^SigIgn:[[:space:]]*//p' /proc/self/status"


def test_what_it_was_started_to_ignore_is_not_ignored_by_what_it_starts(tmp_path: Path) -> None:
    with running_service(tmp_path, program=("-c", _IGNORING)) as service, service.client() as client:
        answers = [
            text_of(run(client, f"import subprocess\nsubprocess.run(['sh', '-c', {_WHAT_IS_IGNORED!r}])")),
            text_of(run(client, _WHAT_IS_IGNORED, language="bash")),
            *printed(client, _WHAT_IS_IGNORED),
        ]
        service.process.send_signal(signal.SIGHUP)
        assert client.get("/ping").status_code == 200
    for ignored in answers:
        assert not int(ignored, 16) & sum(
            1 << (signum - 1) for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
        )
