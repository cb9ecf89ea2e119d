"""What is saved of a living interpreter, so that a later service finds it again. Values, which JSON can say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from execd.kernel.connection import Connection, Runtime


@dataclass(frozen=True, slots=True)
class KernelTrace:
    """What finding a kernel again takes: its number with whoever started it, the name of its folder in the runtime
    folder, the key and the identity of its connection, and the request that it carries out, "" for none. The key is a
    secret."""

    process: int
    folder: str
    key: str
    identity: str
    request: str

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> KernelTrace:
        """From what `dataclasses.asdict` has made. Raises KeyError, TypeError, ValueError for anything else."""
        texts = (str(saved[name]) for name in ("folder", "key", "identity", "request"))
        return cls(int(saved["process"]), *texts)

    def connection(self, runtime: Runtime) -> Connection:
        """Where it is reached."""
        folder = PurePath(self.folder).name
        return Connection(runtime.host / folder, runtime.inside / folder, self.key.encode(), self.identity.encode())


@dataclass(frozen=True, slots=True)
class BashTrace:
    """What finding a session again takes: the mark of its processes, the numbers of its shells with whoever started
    them, whether the last of these has written its state down and `ended`, what it runs ("" for nothing), the jobs that
    are none of this run's, and how the last run ended."""

    marker: str
    shells: tuple[int, ...]
    ended: bool
    token: str
    jobs: tuple[int, ...]
    status: int

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> BashTrace:
        """From what `dataclasses.asdict` has made. Raises KeyError, TypeError, ValueError for anything else."""
        return cls(
            str(saved["marker"]),
            tuple(map(int, saved["shells"])),
            bool(saved["ended"]),
            str(saved["token"]),
            tuple(map(int, saved["jobs"])),
            int(saved["status"]),
        )


Trace = KernelTrace | BashTrace
