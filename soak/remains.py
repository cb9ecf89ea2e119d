"""What is left of a service that was asked to end: there should be nothing but what it stores."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from soak.service_state import ServiceState
from tests.running_service import RunningService

_PATIENCE = 10
_LOUD = ("error", "critical")


def end(state: ServiceState) -> list[str]:
    """End the service as Ctrl-C does; what is wrong with that, a sentence each."""
    service = state.service
    known = {pid: _birth(pid) for pid in (state.warden, *state.processes())}
    runtime = state.runtime()
    try:
        code = service.stop(signal.SIGINT)
    except subprocess.TimeoutExpired:
        return ["the service did not end within 30 s of SIGINT"]
    found = [f"the service ended with exit code {code}"] if code else []
    deadline = time.monotonic() + _PATIENCE
    while (left := list(_left(state, known, runtime))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [*found, *left]


def complaints(service: RunningService) -> list[str]:
    """What its log has of errors, and of what is no line of a log: a traceback, a warning of Python."""
    return [line[:2000] for line in service.log_file.read_text().splitlines() if _is_loud(line)]


def _left(state: ServiceState, known: dict[int, str], runtime: Path) -> Iterator[str]:
    yield from (f"process {pid} is left" for pid, birth in known.items() if birth and _birth(pid) == birth)
    yield from (f"mount {point} is left" for point in state.mounts())
    yield from (f"control group {path} is left" for path in state.control_groups())
    yield from (f"folder {folder} is left" for folder in [runtime] if folder != state.runtime() and folder.exists())
    data = state.service.data_dir
    yield from (f"sandbox folder {path.name} is left" for path in (data / "sandboxes").glob("*"))
    yield from (f"socket {path} is left" for path in data.rglob("*.sock"))


def _birth(pid: int) -> str:
    """What tells a process from a later one of the same number; empty for none, or one that only waits to be reaped."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""


def _is_loud(line: str) -> bool:
    try:
        return json.loads(line)["level"] in _LOUD
    except (ValueError, KeyError, TypeError):
        return bool(line.strip())
