"""Jupyter's iopub messages as execd's events. Pure: what a kernel said in, what clients are told out.

User code can make its kernel say anything, so nothing is taken to have the type that the protocol gives it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from execd.events import (
    Checkpoint,
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Event,
    ExecutionCount,
    InputRequest,
    Report,
    Result,
    StatusChanged,
    Stderr,
    Stdout,
)
from execd.kernel.messages import MalformedMessage, Message
from execd.kernel.passing import Printed, passed_on

Fields = dict[str, Any]

# Characters of one output event. A kernel may send what was printed in a fifth of a second as one message.
_OUTPUT_PIECE = 256 * 1024

# As execd_kernel.run has it.
_CHECKPOINT = "\0execd_checkpoint:"


def events_of(message: Message) -> list[Event]:
    """The events that a message stands for, in order; none for what clients need not know. Raises MalformedMessage."""
    translate = _TRANSLATIONS.get(message.type)
    return translate(message) if translate else []


def _stream(message: Message) -> list[Event]:
    name, pieces = passed_on(message.content_frame, _OUTPUT_PIECE) or _decoded(message.content)
    stream = Stderr if name == "stderr" else Stdout
    return [stream(*piece) for piece in pieces]


def _decoded(content: Fields) -> Printed:
    text = str(content.get("text", ""))
    starts = range(0, len(text), _OUTPUT_PIECE)
    return Printed(str(content.get("name")), [(text[start : start + _OUTPUT_PIECE], None) for start in starts])


def _execute_result(message: Message) -> list[Event]:
    count = message.content.get("execution_count")
    counted: list[Event] = [ExecutionCount(count)] if isinstance(count, int) else []
    return [*counted, Result(*_bundle(message.content))]


def _display_data(message: Message) -> list[Event]:
    return [Display(*_bundle(message.content))]


def _update_display_data(message: Message) -> list[Event]:
    return [DisplayUpdate(*_bundle(message.content))]


def _bundle(content: Fields) -> tuple[Fields, Fields, str | None]:
    display_id = _object(content, "transient").get("display_id")
    return _object(content, "data"), _object(content, "metadata"), display_id


def _object(content: Fields, name: str) -> Fields:
    value = content.get(name) or {}
    if not isinstance(value, dict):
        raise MalformedMessage(f"{name} is no object")
    return value


def _clear_output(message: Message) -> list[Event]:
    return [ClearOutput(bool(message.content.get("wait")))]


def _error(message: Message) -> list[Event]:
    return [StatusChanged("error"), error_of(message.content)]


def error_of(content: Fields) -> Error:
    """The error that an `error` message, or a reply with the status `error`, tells of. Raises MalformedMessage."""
    traceback = content.get("traceback") or []
    if not isinstance(traceback, list):
        raise MalformedMessage("traceback is no list")
    return Error(str(content.get("ename", "")), str(content.get("evalue", "")), tuple(map(str, traceback)))


def _input_request(message: Message) -> list[Event]:
    prompt = str(message.content.get("prompt", ""))
    if prompt.startswith(_CHECKPOINT):
        return [_checkpoint(prompt.removeprefix(_CHECKPOINT))]
    return [InputRequest(prompt, bool(message.content.get("password")))]


def _checkpoint(asked: str) -> Event:
    try:
        told = json.loads(asked)
        return Checkpoint(str(told["name"]), told["payload"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MalformedMessage("no checkpoint") from error


def _report(message: Message) -> list[Event]:
    content = message.content
    kind = content.get("kind")
    if kind not in ("output", "usage", "tool_start", "tool_end"):
        return []
    return [Report(kind, {name: value for name, value in content.items() if name != "kind"})]


_TRANSLATIONS: dict[str, Callable[[Message], list[Event]]] = {
    "stream": _stream,
    "execute_result": _execute_result,
    "display_data": _display_data,
    "update_display_data": _update_display_data,
    "clear_output": _clear_output,
    "error": _error,
    "input_request": _input_request,
    "execd_report": _report,
}
