"""A real service in a process of its own, as its users have it, for tests that talk to it over HTTP."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from execd.isolation.trees import wipe
from execd.warden.protocol import LOCK

_ANOTHER_USER = Path(__file__).with_name("another_user.py")


@dataclass(frozen=True)
class RunningService:
    """`python -m execd serve` on a free port of 127.0.0.1. Its log goes to `log_file`, JSON lines."""

    url: str
    process: subprocess.Popen[bytes]
    data_dir: Path
    log_file: Path

    @property
    def authority(self) -> str:
        """The host and port, as clients want them that make their own URLs."""
        return self.url.removeprefix("http://")

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client for it, without a time limit on reading."""
        options.setdefault("timeout", httpx.Timeout(30, read=None))
        return httpx.Client(base_url=self.url, **options)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(30)


@contextmanager
def running_service(
    folder: Path,
    user: int | None = None,
    program: Sequence[str] = ("-m", "execd"),
    variables: Mapping[str, str] | None = None,
    **settings: object,
) -> Iterator[RunningService]:
    """A service whose data is in `folder`, with `settings` as EXECD_ variables; it ends with the block. Its sandboxes
    have no walls unless `isolation` says otherwise: most tests look at the same files as the code that they run. With
    `user` it is that user's, 0 being root where other users reach the same Python, which takes root; `program` are the
    arguments that make Python be execd, `variables` what its environment has besides."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    environment |= {"EXECD_PORT": "0", "EXECD_DATA_DIR": str(folder / "data"), "EXECD_LOG_FORMAT": "json"}
    # Most tests want nothing left of it.
    environment |= {"EXECD_ISOLATION": "process", "EXECD_ON_SIGTERM": "end"}
    environment |= {f"EXECD_{name.upper()}": _text(value) for name, value in settings.items()} | dict(variables or {})
    log_file = folder / "service.log"
    becoming = [] if user is None else [sys.executable, str(_ANOTHER_USER), str(user)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*becoming, sys.executable, *program, "serve"],
            env=environment,
            stdout=log,
            stderr=log,
            process_group=0,  # Ctrl-C is for who has started it, and ends it then
        )
    try:
        yield RunningService(_wait_for_url(process, log_file), process, folder / "data", log_file)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _clear_runtime(folder / "data")


def _clear_runtime(data: Path) -> None:
    """Do what the next service would do for one that was killed, unless its warden still waits for that."""
    link, lock = data / "runtime", data / "warden" / LOCK
    if not link.is_symlink():
        return
    with suppress(FileNotFoundError, BlockingIOError), lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        wipe(link.readlink())
        link.unlink()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _wait_for_url(process: subprocess.Popen[bytes], log_file: Path) -> str:
    # The kernel gives no event for "a line was written"; `tail -f` would be a second process to look after.
    while process.poll() is None:
        for line in log_file.read_text().splitlines():
            if '"event": "serving"' in line:
                return str(json.loads(line)["url"])
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"the service did not start: {log_file.read_text()}")
