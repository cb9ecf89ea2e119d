"""What is saved of a living interpreter, so that a later service finds it again. Values, which JSON can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from execd.kernel.connection import Connection, Runtime


@dataclass(frozen=True, slots=True)
class KernelTrace:
    """What finding a kernel again takes: the name of its folder in the runtime folder, by which whoever started it
    knows it too, and the key and the identity of its connection. The key is a secret."""

    folder: str
    key: str
    identity: str

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> KernelTrace:
        """From what `to_json` has made. Raises KeyError for anything else."""
        return cls(*(str(saved[name]) for name in ("folder", "key", "identity")))

    def connection(self, runtime: Runtime) -> Connection:
        """Where it is reached."""
        folder = PurePath(self.folder).name
        return Connection(runtime.host / folder, runtime.inside / folder, self.key.encode(), self.identity.encode())


@dataclass(frozen=True, slots=True)
class BashTrace:
    """What finding a session again takes: the mark of its processes, how its last run ended, and the jobs that it had
    in the background before the present one."""

    marker: str
    status: int
    jobs: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> BashTrace:
        """From what `to_json` has made. Raises KeyError, TypeError, ValueError for anything else."""
        return cls(str(saved["marker"]), int(saved["status"]), tuple(map(int, saved["jobs"])))


Trace = KernelTrace | BashTrace


def to_json(trace: Trace) -> dict[str, Any]:
    """What is saved."""
    return asdict(trace)
