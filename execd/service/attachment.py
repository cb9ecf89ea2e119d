"""One client's hold on a terminal: what it is yet to be sent, and how its hold ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio

from execd.errors import ExecdError
from execd.service.line import READ_SIZE, Stream

# The reader of a terminal pauses when a client is this far behind, and goes on when it has caught up to this.
HIGH_WATER = 256 * 1024
LOW_WATER = 64 * 1024
# Output in drops, from two pipes in turn, must not become more objects than bytes.
_MOST_CHUNKS = 1024


@dataclass(frozen=True, slots=True)
class Exited:
    """The shell ended by itself."""

    code: int


Ending = Exited | ExecdError


class Attachment:
    """Made by `Terminal.attach`. `replay` is what the client missed: where it starts, and the bytes."""

    def __init__(self, replay: tuple[int, bytes], release: Callable[[Attachment], None]) -> None:
        self.replay = replay
        self.ending: Ending | None = None
        self.revoked = anyio.Event()
        self._release = release
        self._chunks: deque[tuple[Stream, bytearray]] = deque()
        self._size = 0
        self._news = asyncio.Event()
        self._relaxed: Callable[[], None] | None = None

    @property
    def behind(self) -> bool:
        """Whether so much waits for the client that the terminal has to pause."""
        return self._size >= HIGH_WATER or len(self._chunks) >= _MOST_CHUNKS

    def when_relaxed(self, relaxed: Callable[[], None]) -> None:
        """Call this once, as soon as the client has caught up or has gone."""
        self._relaxed = relaxed

    def put(self, stream: Stream, data: bytes) -> None:
        """Add output for the client."""
        last = self._chunks[-1] if self._chunks else None
        if last is not None and last[0] is stream and len(last[1]) + len(data) <= READ_SIZE:
            last[1].extend(data)
        else:
            self._chunks.append((stream, bytearray(data)))
        self._size += len(data)
        self._news.set()

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """The output as it comes, at most 32 KiB at once; it ends when the shell has and all has been given out."""
        while True:
            while self._chunks:
                stream, data = self._chunks.popleft()
                self._size -= len(data)
                self._relax_if_due()
                yield stream, bytes(data)
            if self.ending is not None:
                return
            self._news.clear()
            await self._news.wait()

    def finish(self, code: int) -> None:
        """The shell has ended; what is waiting is still to be given out."""
        if self.ending is None:
            self.ending = Exited(code)
            self._news.set()

    def revoke(self, why: ExecdError) -> None:
        """End the hold at once, with what is waiting; the next holder finds it in the replay."""
        if self.revoked.is_set():
            return
        self.ending = why
        self._chunks.clear()
        self._size = 0
        self._news.set()
        self.revoked.set()
        self._relax_if_due()

    def detach(self) -> None:
        """The client has gone. Safe to call twice, and after the hold has ended."""
        self._chunks.clear()
        self._size = 0
        self._release(self)
        self._relax_if_due()

    def _relax_if_due(self) -> None:
        if self._relaxed is not None and self._size <= LOW_WATER and len(self._chunks) <= _MOST_CHUNKS // 2:
            relaxed, self._relaxed = self._relaxed, None
            relaxed()
