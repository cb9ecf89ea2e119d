"""stdout and stderr of a kernel whose reader may take its time."""

import threading

from ipykernel import iostream

PIECE = 256 * 1024
"""How many characters a stream may hold back, which is also the most that one message carries."""


class OutStream(iostream.OutStream):
    """A stream whose text leaves in pieces, and whose `flush` returns when the text has been handed to the reader's
    queue, however long that takes.

    Stock flushes by a timer only and sends what has gathered as one message: a loop that prints fills the memory of
    the kernel and then of the reader. And it gives up a flush after ten seconds and says so on fd 2, which is
    captured: the line would be taken for the user's. An interrupt ends the wait.
    """

    flush_timeout = int(threading.TIMEOUT_MAX)
    _held = 0

    def write(self, string: str) -> int:
        """Write `string`; once `PIECE` characters are held back, wait until they have left."""
        size = len(string) if isinstance(string, str) else 0  # type: ignore[redundant-expr]
        if self._held + size < PIECE:
            self._held += size
            return super().write(string) or size
        for start in range(0, size, PIECE):
            self.flush()
            super().write(string[start : start + PIECE])
        self._held = size % PIECE
        return size

    def flush(self) -> None:
        """Hand over what is held back."""
        self._held = 0
        super().flush()  # type: ignore[no-untyped-call]
