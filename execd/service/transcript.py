"""What an execution has printed so far, read out of its journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from execd.service.execution import Execution

_STREAMS = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one stream, stdout or stderr."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """Both streams, each by itself, and as they came."""

    stdout: str
    stderr: str
    output: str


def pieces(records: Iterable[bytes]) -> Iterator[Piece]:
    """The output among records of a journal."""
    for record in records:
        # The type stands first (execd.events).
        if record.startswith((b'{"type":"stdout"', b'{"type":"stderr"')):
            event = json.loads(record)
            yield Piece(event["type"], event["text"])


async def transcript(execution: Execution) -> Transcript:
    """All that the journal holds of the output. Raises StorageFull when it cannot be read."""
    found: list[Piece] = []
    after = 0
    while (told := await execution.journal.read(after)).records:
        found += pieces(told.records)
        after = told.last
    stdout, stderr = ("".join(piece.text for piece in found if piece.stream == stream) for stream in _STREAMS)
    return Transcript(stdout, stderr, "".join(piece.text for piece in found))
