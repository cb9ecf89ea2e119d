"""What a sandbox uses of the machine, all of its processes together. Only the standard library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_RECEIVED, _SENT = 0, 8


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of memory and CPU seconds so far, None where the machine does not count them for a sandbox; bytes that
    came in and went out by its network, its own loopback left out."""

    memory: int | None = None
    cpu_seconds: float | None = None
    received: int = 0
    sent: int = 0


def traffic(pid: int, proc: Path = Path("/proc")) -> tuple[int, int]:
    """Bytes that came in and went out by the network of a process (proc_pid_net(5)); none where it has ended."""
    try:
        lines = (proc / str(pid) / "net/dev").read_text().splitlines()
    except OSError:
        return 0, 0
    rows = {name.strip(): counted.split() for name, _, counted in (line.partition(":") for line in lines)}
    counts = [numbers for name, numbers in rows.items() if name != "lo" and len(numbers) > _SENT]
    counts = [numbers for numbers in counts if numbers[_RECEIVED].isdigit()]
    return sum(int(numbers[_RECEIVED]) for numbers in counts), sum(int(numbers[_SENT]) for numbers in counts)
