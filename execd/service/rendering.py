"""How executions are shown to whoever is told of them without having asked: as the API shows them that they came by."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from execd.service.execution import Execution

Record = Mapping[str, Any]

_TEXT_KEPT = 16 * 1024


@dataclass(frozen=True, slots=True)
class Rendering:
    """How an API shows an execution: as it stands, and with what it has brought forth once it has ended."""

    standing: Callable[[Execution], Record]
    ended: Callable[[Execution], Awaitable[Record]]


def plainly(execution: Execution) -> Record:
    """An execution in the fewest words."""
    return {"id": execution.id, "status": execution.status.value}


async def _plainly(execution: Execution) -> Record:
    return plainly(execution)


PLAIN = Rendering(plainly, _plainly)


@dataclass(frozen=True, slots=True)
class Renderings:
    """Each API's, by its name, and that of all others."""

    other: Rendering = PLAIN
    known: Mapping[str, Rendering] = field(default_factory=dict)

    def of(self, execution: Execution) -> Rendering:
        """That of the API by which an execution came."""
        return self.known.get(execution.origin.dialect, self.other)

    def standing(self, execution: Execution) -> Record:
        """How an execution is shown as it stands."""
        return self.of(execution).standing(execution)


def message(kind: str, at: int, record: Record, most: int) -> bytes:
    """What is sent: the type, when it happened (given in Unix ms), and the record. Where that is more than so many
    bytes the record's largest fields are shortened, texts to their end and all else to null; `shortened` names them."""
    timestamp = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    envelope: dict[str, Any] = {"type": kind, "timestamp": timestamp, "data": dict(record)}
    body = _encoded(envelope)
    if len(body) <= most:
        return body
    shorter, names = dict(record), []
    sizes = {name: len(_encoded(value)) for name, value in record.items()}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        value = record[name]
        shorter[name] = value[-_TEXT_KEPT:] if isinstance(value, str) else None
        if shorter[name] == value:
            continue
        names.append(name)
        body = _encoded({**envelope, "data": shorter, "shortened": sorted(names)})
        if len(body) <= most:
            break
    return body


def _encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
