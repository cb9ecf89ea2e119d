"""Whole services with walls, one for each mode and kind of user, and what runs in their sandboxes over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from execd.isolation import landlock
from tests.live.commanding import command
from tests.live.reading import Event, run, text_of
from tests.running_service import RunningService, running_service

PLAIN_USER = 65534

SECRET = "what-nobody-inside-may-know"
SECRETS = ("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "SECRET_IN_ENVIRONMENT")
"""The names that it has in the service's environment."""


@dataclass(frozen=True)
class Kind:
    """A mode of walls, and who the service is."""

    mode: str
    plain: bool

    def __str__(self) -> str:
        return f"{self.mode}-{'plain' if self.plain else 'root'}"

    @property
    def user(self) -> int:
        """The user that the service runs as."""
        return PLAIN_USER if self.plain else 0

    def obstacle(self) -> str | None:
        """Why there can be no such service here."""
        if os.geteuid() != 0:
            return "only root becomes other users"
        if self.mode == "bwrap" and (shutil.which("bwrap") is None or not _namespaces(self.user)):
            return "this machine makes no namespaces for bubblewrap"
        if self.mode == "landlock" and landlock.abi() < landlock.SCOPE_SINCE:
            return "the kernel's Landlock does not keep signals from the service"
        return None


BWRAP_ROOT, BWRAP_PLAIN = Kind("bwrap", plain=False), Kind("bwrap", plain=True)
LANDLOCK_ROOT, LANDLOCK_PLAIN = Kind("landlock", plain=False), Kind("landlock", plain=True)
KINDS = (BWRAP_ROOT, BWRAP_PLAIN, LANDLOCK_ROOT, LANDLOCK_PLAIN)


@dataclass(frozen=True)
class House:
    """A service with walls, and a client for it. `folder` is one that everybody may enter."""

    kind: Kind
    service: RunningService
    client: httpx.Client
    folder: Path

    @property
    def warden(self) -> int:
        """The warden's pid: what it starts is a fork of it for a moment, with the same command line. Raises
        ProcessLookupError where there is none just now."""
        found = [pid for pid in everybody() if _is_warden(pid, self.service.data_dir)]
        if not found:
            raise ProcessLookupError
        return min(found, key=started)

    def new_sandbox(self, **asked: Any) -> Sandbox:
        """A sandbox of its own."""
        answer = self.client.post("/v1/sandboxes", json={"template": "code-interpreter", **asked})
        assert answer.status_code == 201, answer.text
        return Sandbox(self, answer.json()["id"])

    @property
    def default(self) -> Sandbox:
        """The sandbox of the routes at the root."""
        return Sandbox(self, "default")


@dataclass(frozen=True)
class Sandbox:
    """One sandbox, whose `client` speaks execd's API."""

    house: House
    id: str

    @property
    def base(self) -> str:
        """Before the paths of the execd API."""
        return "" if self.id == "default" else f"/v1/sandboxes/{self.id}/proxy/44772"

    def client(self) -> httpx.Client:
        """For execd's API of it, to be closed."""
        return httpx.Client(base_url=f"{self.house.service.url}{self.base}", timeout=httpx.Timeout(30, read=60))

    def run(self, code: str) -> list[Event]:
        """The events of code in the default Python context."""
        with self.client() as client:
            return run(client, code)

    def printed(self, code: str) -> str:
        """What such code prints."""
        events = self.run(code)
        assert events[-1].get("status") == "succeeded", events
        return text_of(events)

    def command(self, line: str, **asked: Any) -> list[Event]:
        """The events of a command."""
        with self.client() as client:
            return command(client, line, **asked)

    def said(self, line: str, **asked: Any) -> str:
        """What a command prints, on both streams, a line each."""
        events = self.command(line, **asked)
        return "\n".join(event["text"] for event in events if event["type"] in ("stdout", "stderr"))

    def delete(self) -> None:
        """End it."""
        self.house.client.delete(f"/v1/sandboxes/{self.id}").raise_for_status()

    @property
    def workspace(self) -> Path:
        """Its workspace, as the machine sees it."""
        if self.id == "default":
            return self.house.service.data_dir / "workspace"
        return self.house.service.data_dir / "sandboxes" / self.id / "workspace"

    @property
    def cwd(self) -> str:
        """Its workspace, as it sees it itself."""
        return "/workspace" if self.house.kind.mode == "bwrap" else str(self.workspace)


@contextmanager
def house(kind: Kind, **settings: Any) -> Iterator[House]:
    """A service of this kind; skips the test where there can be none."""
    obstacle = kind.obstacle()
    if obstacle is not None:
        pytest.skip(obstacle)
    with tempfile.TemporaryDirectory(prefix="execd-house-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o711)
        for path in (folder, folder / "data"):
            os.chown(path, kind.user, kind.user)
        with (
            running_service(
                folder, kind.user, variables=dict.fromkeys(SECRETS, SECRET), isolation=kind.mode, **settings
            ) as service,
            service.client() as client,
        ):
            yield House(kind, service, client, folder)


def everybody() -> list[int]:
    """Every process of the machine."""
    return [int(name) for name in sorted(os.listdir("/proc")) if name.isdecimal()]  # noqa: PTH208 - names


def arguments(pid: int) -> list[str]:
    """A process's command line, empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def started(pid: int) -> int:
    """When a process was started, in ticks; one that is gone is later than all others."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return sys.maxsize


def _is_warden(pid: int, data_dir: Path) -> bool:
    words = arguments(pid)
    return any(word.endswith("/warden/__main__.py") for word in words) and str(data_dir / "warden") in words


def dumped(value: Any) -> str:
    """As a literal of Python that is JSON, for programs."""
    return repr(json.dumps(value))


@cache
def _namespaces(user: int) -> bool:
    asked = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(asked, user=user, check=False, capture_output=True).returncode == 0
