"""A program: code in some language, to be run as a process of its own. Values and what follows from them; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from execd.service.commands import CommandRequest
from execd.service.record import SandboxRequest

HOME = "/home/baponi"
"""Where a thread's files are: what agents have been told by the API that threads come from."""
DATA = "/data"
"""Where programs start. What they leave there is thrown away."""

# The code comes by the standard input, which is at its end when the program begins: an argument may not be that long.
# bash would take what it has not read yet for the input of its commands.
_STARTED: Mapping[str, tuple[str, ...]] = {
    "python": ("python", "-"),
    "bash": ("bash", "-c", 'eval "$(cat)"'),
    "node": ("node", "-"),
    "ruby": ("ruby", "-"),
    "php": ("php",),
    "deno": ("deno", "run", "-A", "-"),
    "bun": ("bun", "run", "-"),
}
LANGUAGES = tuple(_STARTED)
"""Those that are known; whether there is an interpreter, each sandbox says by itself."""

# What is printed is to be told at once, and in the order in which it was printed.
_VARIABLES = {"PYTHONUNBUFFERED": "1"}

_MARGIN = 60.0
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Program:
    """`code` in one of LANGUAGES. It ends after `timeout` seconds; in a `thread`, or else where nothing is kept."""

    language: str
    code: str
    timeout: float
    envs: Mapping[str, str] = field(default_factory=dict)
    thread: str | None = None

    @property
    def command(self) -> CommandRequest:
        """What starts it."""
        return CommandRequest(
            argv=_STARTED[self.language],
            env={**_VARIABLES, **self.envs},
            timeout=self.timeout,
            given=self.code.encode(),
            alone=True,
            source=self.code,
        )


def thread_sandbox_id(tenant: str, thread: str) -> str:
    """The id of the sandbox that a thread is; each tenant's threads are its own."""
    number = int.from_bytes(hashlib.sha256(f"{tenant}\0{thread}".encode()).digest())
    text = ""
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        text += _ALPHABET[rest]
    return f"sb_{text}"


def thread_sandbox(thread: str, idle_timeout: float) -> SandboxRequest:
    """The sandbox that a thread is."""
    return SandboxRequest(
        timeout=0,
        idle_timeout=idle_timeout,
        metadata={"thread_id": thread},
        workspace=DATA,
        home=HOME,
        dialect={"thread": thread},
    )


def passing_sandbox(timeout: float) -> SandboxRequest:
    """A sandbox for one program that may run this long. Nobody deletes it where the service ends before that."""
    return SandboxRequest(timeout=timeout + _MARGIN, idle_timeout=0, workspace=DATA, home=HOME)
