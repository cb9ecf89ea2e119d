"""Sandboxes with walls, as the clients of a service have them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests.live.reading import of_type, run, text_of
from tests.running_service import RunningService


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Walled:
    """One sandbox of a service, by its id."""

    def __init__(self, service: RunningService, shown: dict[str, Any]) -> None:
        self.shown = shown
        self.id: str = shown["id"]
        self.base = f"/v1/sandboxes/{self.id}"
        self.client = service.client()
        self.execd = httpx.Client(base_url=f"{service.url}{self.base}/proxy/44772", timeout=httpx.Timeout(30, read=120))

    def sh(self, line: str, timeout: int = 60) -> Done:
        """Run a line of shell to its end."""
        asked = {"command": line, "shell": True, "timeout_secs": timeout}
        answer = self.client.post(f"{self.base}/exec", json=asked)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return Done(told["exit_code"], told["stdout"], told["stderr"])

    def python(self, code: str, context: str = "") -> str:
        """Run code in a kernel, the default one or that of a context, and give all that it printed or failed with."""
        events = run(self.execd, code, id=context) if context else run(self.execd, code)
        failed = [event["error"]["evalue"] for event in of_type(events, "error")]
        return text_of(events) + text_of(events, "stderr") + "".join(map(str, failed))

    def context(self) -> str:
        """A further context."""
        made = self.execd.post("/code/context", json={"language": "python"}).raise_for_status()
        return str(made.json()["id"])

    def write(self, path: str, content: bytes) -> httpx.Response:
        """Put a file into the workspace, or wherever the path leads."""
        files: list[tuple[str, tuple[str, str | bytes, str]]] = [
            ("metadata", ("metadata", json.dumps({"path": path}), "application/json")),
            ("file", ("file", content, "application/octet-stream")),
        ]
        return self.execd.post("/files/upload", files=files)

    def close(self) -> None:
        """End it."""
        with suppress(httpx.ConnectError):  # a test may have killed the service
            self.client.delete(self.base)
        self.client.close()
        self.execd.close()


@contextmanager
def walled(service: RunningService, **asked: Any) -> Iterator[Walled]:
    """A sandbox that lasts as long as the block."""
    with service.client() as client:
        answer = client.post("/v1/sandboxes", json=asked)
        assert answer.status_code == 201, answer.text
        sandbox = Walled(service, answer.json())
    try:
        yield sandbox
    finally:
        sandbox.close()


def walls_possible() -> bool:
    """Whether this machine lets us make sandboxes with bubblewrap."""
    if shutil.which("bwrap") is None:
        return False
    return subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False).returncode == 0
