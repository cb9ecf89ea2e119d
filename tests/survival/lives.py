"""One service after another on the same data folder, and what clients have in a sandbox of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import Signals
from typing import Any

import httpx
import pytest

from tests.live.reading import Event, events_of, run, text_of
from tests.running_service import RunningService, running_service
from tests.security.houses import BWRAP_PLAIN, BWRAP_ROOT, LANDLOCK_PLAIN, LANDLOCK_ROOT, Kind

PROCESS = Kind("process", plain=False)
KINDS = (PROCESS, BWRAP_ROOT, BWRAP_PLAIN, LANDLOCK_ROOT, LANDLOCK_PLAIN)


class Lives:
    """The service that lives now, and the ones before it."""

    def __init__(self, kind: Kind, folder: Path, stack: ExitStack) -> None:
        self.kind = kind
        self.folder = folder
        self._stack = stack
        self.service: RunningService
        self.client: httpx.Client

    def begin(self, **settings: Any) -> None:
        """Start one."""
        user = None if self.kind is PROCESS else self.kind.user
        wanted = {"isolation": self.kind.mode, "on_sigterm": "keep", **settings}
        self.service = self._stack.enter_context(running_service(self.folder, user, **wanted))
        self.client = self._stack.enter_context(self.service.client())

    def again(self, signum: Signals, **settings: Any) -> None:
        """End it by this signal, and start another one."""
        assert self.service.stop(signum) == (0 if signum is Signals.SIGTERM else -signum)
        self.begin(**settings)

    def sandbox(self, **asked: Any) -> Place:
        """A new sandbox."""
        made = self.client.post("/v1/sandboxes", json={"template": "code-interpreter", **asked})
        assert made.status_code == 201, made.text
        return Place(self, made.json()["id"])

    @property
    def default(self) -> Place:
        """The sandbox of the routes at the root."""
        return Place(self, "default")


class Place:
    """One sandbox, whichever service has it."""

    def __init__(self, lives: Lives, sandbox_id: str) -> None:
        self.lives = lives
        self.id = sandbox_id

    @property
    def base(self) -> str:
        """Before the paths of the execd API."""
        return "" if self.id == "default" else f"/v1/sandboxes/{self.id}/proxy/44772"

    @property
    def client(self) -> httpx.Client:
        """For execd's API of it, at the service that lives now."""
        return self.lives._stack.enter_context(
            httpx.Client(base_url=f"{self.lives.service.url}{self.base}", timeout=httpx.Timeout(30, read=60))
        )

    def shown(self) -> dict[str, Any]:
        """What the API tells of it."""
        found: dict[str, Any] = self.lives.client.get(f"/v1/sandboxes/{self.id}").raise_for_status().json()
        return found

    def context(self, language: str = "python") -> str:
        """A new context."""
        return str(self.client.post("/code/context", json={"language": language}).raise_for_status().json()["id"])

    def printed(self, code: str, **context: Any) -> str:
        """What such code prints, in a context or the default one of a language; it must succeed."""
        events = run(self.client, code, **context)
        assert events[-1].get("status") == "succeeded", events
        return text_of(events)

    def command(self, line: str) -> str:
        """A background command."""
        answer = self.client.post("/command", json={"command": line, "background": True}).raise_for_status()
        return str(answer.headers["EXECD-EXECUTION-ID"])

    def status(self, command_id: str) -> dict[str, Any]:
        """How a command is."""
        found: dict[str, Any] = self.client.get(f"/command/status/{command_id}").raise_for_status().json()
        return found

    def log(self, command_id: str) -> str:
        """What a background command has written."""
        return self.client.get(f"/command/{command_id}/logs").raise_for_status().text

    def execution(self, execution_id: str) -> dict[str, Any]:
        """What is known of an execution."""
        found: dict[str, Any] = self.client.get(f"/code/executions/{execution_id}").raise_for_status().json()
        return found

    def followed(self, execution_id: str, after: int = 0) -> list[Event]:
        """All events of an execution after one, to its end."""
        path = f"/code/executions/{execution_id}/events"
        with self.client.stream("GET", path, headers={"Last-Event-ID": str(after)}) as answer:
            assert answer.status_code == 200, answer.read()
            return [event for event in events_of(answer.iter_bytes()) if event["type"] != "ping"]


@contextmanager
def lives_of(kind: Kind) -> Iterator[Lives]:
    """A first service; nothing of the last one is left after the block. Skips where there can be none."""
    obstacle = None if kind is PROCESS else kind.obstacle()
    if obstacle is not None:
        pytest.skip(obstacle)
    with tempfile.TemporaryDirectory(prefix="execd-lives-", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o711)
        if kind is not PROCESS:
            for path in (folder, folder / "data"):
                os.chown(path, kind.user, kind.user)
        lives = Lives(kind, folder, stack)
        lives.begin()
        yield lives
        assert lives.service.stop(Signals.SIGINT) == 0
        assert not (folder / "data" / "sandboxes").exists()
        assert not (folder / "data" / "runtime").is_symlink()
