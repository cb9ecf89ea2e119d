"""A program behind the proxy, and a WebSocket to it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.running_service import RunningService


@dataclass(frozen=True)
class Backend:
    """The program of tests/live/backend.py."""

    http: int
    websocket: int
    process: subprocess.Popen[str]


@contextlib.contextmanager
def running_backend() -> Iterator[Backend]:
    """It, until the block ends."""
    root = Path(__file__).parent.parent.parent
    with subprocess.Popen(
        [sys.executable, "-m", "tests.live.backend"], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        http, websocket = map(int, process.stdout.readline().split())
        try:
            yield Backend(http, websocket, process)
        finally:
            process.kill()


@contextlib.contextmanager
def websocket(service: RunningService, backend: Backend, path: str = "", **options: Any) -> Iterator[ClientConnection]:
    """A WebSocket through the proxy."""
    with connect(f"ws://{service.authority}/proxy/{backend.websocket}/{path}", max_size=None, **options) as connection:
        yield connection
