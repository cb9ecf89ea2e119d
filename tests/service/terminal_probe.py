"""A client of a terminal without a wire: it reads on until it has seen what it waits for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio

from execd.isolation.launch import Launcher
from execd.service.attachment import Attachment
from execd.service.line import Mode, Stream
from execd.service.shell import ShellCommand
from execd.service.terminal import Terminal

PATIENCE = 30.0
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def shell_command(folder: Path, command: str = "", marker: str = "pty_test") -> ShellCommand:
    """A shell in `folder`."""
    return ShellCommand(folder, ENVIRONMENT, marker, command)


class Probe:
    """Keeps all that an attachment gave out."""

    def __init__(self, terminal: Terminal, attachment: Attachment) -> None:
        self.terminal = terminal
        self.attachment = attachment
        self.seen = bytearray(attachment.replay[1])
        self.stderr = bytearray()
        self._output = attachment.output()

    async def until(self, pattern: bytes) -> re.Match[bytes]:
        """Read until the output matches, and forget the output up to the match's end."""
        with anyio.fail_after(PATIENCE):
            while (found := re.search(pattern, bytes(self.seen), re.DOTALL)) is None:
                await self._read()
        del self.seen[: found.end()]
        return found

    async def rest(self) -> bytes:
        """Read until the hold ends, and return all that was not forgotten."""
        with anyio.fail_after(PATIENCE):
            try:
                while True:
                    await self._read()
            except StopAsyncIteration:
                return bytes(self.seen)

    async def say(self, line: str) -> None:
        """Type a line."""
        await self.terminal.write(f"{line}\n".encode())

    async def _read(self) -> None:
        stream, data = await anext(self._output)
        (self.seen if stream is Stream.STDOUT else self.stderr).extend(data)

    async def close(self) -> None:
        """Let go."""
        self.attachment.detach()
        async with aclosing(self._output):  # type: ignore[type-var]
            return


@asynccontextmanager
async def open_terminal(launcher: Launcher, folder: Path, command: str = "") -> AsyncIterator[Terminal]:
    """A terminal that ends with the block."""
    terminal = Terminal("pty_test", launcher, lambda _mode: shell_command(folder, command, f"pty_test_{folder.name}"))
    try:
        yield terminal
    finally:
        with anyio.CancelScope(shield=True):
            await terminal.close()


async def eventually(condition: Callable[[], bool]) -> None:
    """Return once something is so that nobody tells about, such as a file that a program makes."""
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


def attach(terminal: Terminal, mode: Mode = Mode.PTY, since: int = 0, *, takeover: bool = False) -> Probe:
    """Attach to it."""
    return Probe(terminal, terminal.attach(mode, since, takeover=takeover))
