"""The end of an output that has no end: its last bytes, found by their place in the whole of it."""

from __future__ import annotations

MIB = 1024 * 1024


class Replay:
    """The last `capacity` bytes of an output. An offset counts bytes from the output's very first one."""

    def __init__(self, capacity: int = MIB) -> None:
        self._capacity = capacity
        self._kept = bytearray()
        self._end = 0

    @property
    def start(self) -> int:
        """The offset of the oldest byte that is still kept."""
        return self._end - len(self._kept)

    @property
    def end(self) -> int:
        """The offset that the next byte will have: how many there were so far."""
        return self._end

    def append(self, data: bytes) -> None:
        """Add output; what no longer fits is forgotten from the start on."""
        self._end += len(data)
        self._kept += data[-self._capacity :]
        # A bytearray gives up its front without moving the rest.
        del self._kept[: max(len(self._kept) - self._capacity, 0)]

    def since(self, offset: int) -> tuple[int, bytes]:
        """The output from `offset` on and where it really starts: later than asked where the older part is forgotten,
        at the end, and empty, when there is nothing so far."""
        first = min(max(offset, self.start), self._end)
        return first, bytes(self._kept[first - self.start :])
