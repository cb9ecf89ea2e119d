"""What is in a sandbox, looked at by programs that run in it: another way than the one that a test is about."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

DEFAULT = "default"


@dataclass(frozen=True)
class Inside:
    """A sandbox of a running service, by its id."""

    client: httpx.Client
    sandbox_id: str = DEFAULT

    @property
    def url(self) -> str:
        """Its own part of the service."""
        return f"/v1/sandboxes/{self.sandbox_id}"

    @property
    def execd(self) -> str:
        """Its own execd."""
        return f"{self.url}/proxy/44772"

    def run(self, command: str, *args: str, **given: Any) -> dict[str, Any]:
        """How a command ended: `exit_code`, `stdout`, `stderr`. Without arguments it is a shell line."""
        asked = {"command": command, "args": [*args], "shell": not args, **given}
        found: dict[str, Any] = self.client.post(f"{self.url}/exec", json=asked).raise_for_status().json()
        return found

    def out(self, command: str, *args: str) -> str:
        """What a command that succeeds prints, without the last newline."""
        done = self.run(command, *args)
        assert done["exit_code"] == 0, done
        return str(done["stdout"]).removesuffix("\n")

    def ok(self, line: str) -> bool:
        """Whether a shell line succeeds."""
        return bool(self.run(line)["exit_code"] == 0)

    def read(self, path: str) -> bytes:
        """What is in a file."""
        return base64.b64decode(self.out("base64", "-w0", path))

    def write(self, path: str, content: bytes) -> None:
        """Make a file."""
        encoded = base64.b64encode(content).decode()
        self.out(f"printf %s {encoded} | base64 -d >{shlex.quote(path)}")

    def mode(self, path: str) -> int:
        """The permission bits of a file."""
        return int(self.out("stat", "-c", "%a", path), 8)

    def names(self, path: str) -> list[str]:
        """What is in a folder."""
        return sorted(self.out("ls", "-A", path).splitlines())

    @contextmanager
    def new_folder(self) -> Iterator[str]:
        """A folder in its workspace while the block runs."""
        path = self.out("mktemp", "-d", "-p", "/workspace")
        yield path
        self.out("rm", "-rf", path)


@contextmanager
def new_sandbox(client: httpx.Client, **asked: Any) -> Iterator[Inside]:
    """A sandbox of Nullspace's API while the block runs, unless it ends before."""
    answer = client.post("/v1/sandboxes", json=asked, headers={"Idempotency-Key": ""})
    made = Inside(client, answer.raise_for_status().json()["id"])
    try:
        yield made
    finally:
        client.delete(made.url)
