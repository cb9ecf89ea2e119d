"""The messages on a terminal's WebSocket, both ways. Nothing here does I/O.

Binary ones start with a byte that says what they carry; text ones are JSON objects with a `type`.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from execd.errors import ExecdError, InvalidFrame
from execd.service.line import Mode, Stream
from execd.wire.body import invalid
from execd.wire.errors import ErrorTable
from execd.wire.execd.schemas import Body

TAKEN_OVER_CLOSE = 4001
PONG = '{"type":"pong"}'

_OFFSET_BYTES = 8
_SIGNALS = Literal["SIGINT", "SIGTERM", "SIGKILL", "SIGQUIT", "SIGHUP"]


class Kind(IntEnum):
    """The first byte of a binary message."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    REPLAY = 3


class StdinText(Body):
    """Input as text, for clients that speak only JSON."""

    type: Literal["stdin"]
    data: str = ""


class Signal(Body):
    """A signal for what runs in the terminal."""

    type: Literal["signal"]
    signal: _SIGNALS


class Resize(Body):
    """The window's new size, in characters."""

    type: Literal["resize"]
    cols: int = Field(ge=1, le=65535)
    rows: int = Field(ge=1, le=65535)


class Ping(Body):
    """Whether the service still answers."""

    type: Literal["ping"]


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes to type."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Kill:
    """A signal to send."""

    signum: signal.Signals


ClientFrame = Input | Kill | Resize | Ping

_text_frame: TypeAdapter[StdinText | Signal | Resize | Ping] = TypeAdapter(
    Annotated[StdinText | Signal | Resize | Ping, Field(discriminator="type")]
)


def decode(message: str | bytes) -> ClientFrame:
    """What a client's message says. Raises InvalidFrame."""
    if isinstance(message, bytes):
        return _decode_binary(message)
    try:
        frame = _text_frame.validate_json(message)
    except ValidationError as error:
        raise _meaningless(error) from error
    match frame:
        case StdinText():
            return Input(frame.data.encode())
        case Signal():
            return Kill(signal.Signals[frame.signal])
        case _:
            return frame


def _decode_binary(message: bytes) -> Input:
    if not message or message[0] != Kind.STDIN:
        got = f"0x{message[0]:02x}" if message else "nothing"
        raise InvalidFrame(f"expected a binary message that starts with 0x00 (stdin), got {got}")
    return Input(message[1:])


def _meaningless(error: ValidationError) -> InvalidFrame:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidFrame(f"expected a JSON object: {first['msg'].removeprefix('Invalid JSON: ')}")
    if first["type"].startswith("union_tag"):
        return InvalidFrame("expected one of stdin, signal, resize, ping", "type")
    return InvalidFrame(str(invalid(error)))


def output(stream: Stream, data: bytes) -> bytes:
    """Output as it comes."""
    return bytes([Kind.STDOUT if stream is Stream.STDOUT else Kind.STDERR]) + data


def replay(offset: int, data: bytes) -> bytes:
    """Output from before, that starts at `offset`."""
    return bytes([Kind.REPLAY]) + offset.to_bytes(_OFFSET_BYTES, "big") + data


def connected(terminal_id: str, mode: Mode) -> str:
    """The attachment holds."""
    return _json(type="connected", session_id=terminal_id, mode=mode.value)


def exited(code: int) -> str:
    """The shell has ended, and this is the last message."""
    return _json(type="exit", exit_code=code)


def failed(error: ExecdError, dialect: ErrorTable) -> str:
    """Something went wrong; the connection lives on if it can."""
    return _json(type="error", code=str(dialect.rendering(type(error)).code), error=str(error))


def _json(**fields: Any) -> str:
    return json.dumps(fields, separators=(",", ":"))
