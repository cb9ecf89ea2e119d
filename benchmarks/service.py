"""The service under measurement: `python -m execd serve` in a process of its own, with ordinary settings only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Answer, HttpClient, events
from benchmarks.errors import RowFailed
from benchmarks.processes import below, warden_in

_SOON = 60


@dataclass(frozen=True)
class Service:
    """A service that serves."""

    url: str
    pid: int
    folder: Path

    def others(self) -> list[int]:
        """The processes besides its own: what makes sandboxes, and all that is in them."""
        warden = warden_in(self.folder)
        return [warden, *below(warden)]

    @contextmanager
    def client(self) -> Iterator[HttpClient]:
        """A connection to it."""
        with HttpClient(self.url) as client:
            yield client

    @contextmanager
    def interpreter(self) -> Iterator[Interpreter]:
        """A new Python context that has run a cell, on a connection of its own."""
        with self.client() as client:
            interpreter = Interpreter(client)
            interpreter.succeed("1+1")
            yield interpreter
            interpreter.delete()


class Interpreter:
    """One Python context, and the connection that drives it; `root` is where its sandbox's routes are."""

    def __init__(self, client: HttpClient, root: str = "") -> None:
        self.client = client
        self.root = root
        self.id: str = client.request("POST", f"{root}/code/context", {"language": "python"}).json()["id"]

    def run(self, code: str) -> Answer:
        """Run code; returns when the stream has ended. What it holds has not been looked at."""
        return self.client.request("POST", f"{self.root}/code", self.order(code))

    def succeed(self, code: str) -> Answer:
        """Run code that must succeed."""
        answer = self.run(code)
        check_success(answer)
        return answer

    def timed(self, code: str) -> tuple[float, Answer]:
        """The seconds until the stream of a run has ended, and the stream."""
        self.client.refresh()
        started = time.perf_counter()
        answer = self.run(code)
        return time.perf_counter() - started, answer

    def order(self, code: str) -> dict[str, object]:
        """The body of POST /code."""
        return {"code": code, "context": {"id": self.id}}

    def delete(self) -> None:
        """End the context."""
        self.client.request("DELETE", f"{self.root}/code/contexts/{self.id}")


class SandboxOf:
    """A sandbox of its own, and the connection that it was made on."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.path = f"/v1/sandboxes/{client.request('POST', '/v1/sandboxes', {}).json()['id']}"
        self.root = f"{self.path}/proxy/44772"

    def delete(self) -> None:
        """End it with everything in it."""
        self.client.request("DELETE", self.path)


def check_success(answer: Answer) -> None:
    """Raise RowFailed unless the run of this stream succeeded and nothing of its output was left out."""
    found = events(answer.body)
    if found[-1].get("status") != "succeeded":
        raise RowFailed(f"a run did not end as succeeded but with {str(found[-1])[:500]}")
    if any(event["type"] == "truncated" for event in found):
        raise RowFailed("the output of a run was truncated")


def printed(answer: Answer) -> str:
    """What the run of this stream printed. Raises RowFailed when it did not succeed."""
    check_success(answer)
    return "".join(event["text"] for event in events(answer.body) if event["type"] == "stdout")


@contextmanager
def serving(folder: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    """A service whose data is in `folder`, with `settings` as EXECD_ variables; it ends with the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    environment |= {"EXECD_PORT": "0", "EXECD_DATA_DIR": str(folder / "data"), "EXECD_LOG_FORMAT": "json"}
    environment |= {f"EXECD_{name.upper()}": value for name, value in settings.items()}
    log_file = folder / "service.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "execd", "serve"], env=environment, stdout=log, stderr=log)
    try:
        yield Service(_wait_for_url(process, log_file), process.pid, folder)
    finally:
        process.terminate()
        process.wait(_SOON)


def _wait_for_url(process: subprocess.Popen[bytes], log_file: Path) -> str:
    while process.poll() is None:
        found = [line for line in log_file.read_text().splitlines() if '"event": "serving"' in line]
        if found:
            return str(json.loads(found[0])["url"])
        time.sleep(0.02)
    raise RowFailed(f"the service did not start: {log_file.read_text()}")
