"""Starting: on open addresses only with a token, and with one readable line when it cannot be."""

from __future__ import annotations

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


def serve(data_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
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
