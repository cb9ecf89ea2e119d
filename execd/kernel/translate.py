"""Jupyter's iopub messages as execd's events. Pure: what a kernel said in, what clients are told out.

User code can make its kernel say anything, so nothing is taken to have the type that the protocol gives it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
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
from execd.kernel.passing import passed_on

Fields = dict[str, Any]

# Characters of one output event. A kernel may send what was printed in a fifth of a second as one message.
_OUTPUT_PIECE = 256 * 1024

# As execd_kernel.run has it.
_CHECKPOINT = "\0execd_checkpoint:"


def events_of(message: Message) -> list[Event]:
    """The events that a message stands for, in order; none for what clients need not know. Raises MalformedMessage."""
    if message.type == "stream":
        return list(_printed(message))
    translate = _TRANSLATIONS.get(message.type)
    return translate(message.content) if translate else []


def _printed(message: Message) -> Iterable[Event]:
    passed = passed_on(message.content_frame, _OUTPUT_PIECE)
    if passed is not None:
        stream = Stderr if passed.name == "stderr" else Stdout
        return (stream(text, literal) for text, literal in passed.pieces)
    text = str(message.content.get("text", ""))
    stream = Stderr if message.content.get("name") == "stderr" else Stdout
    return (stream(text[start : start + _OUTPUT_PIECE]) for start in range(0, len(text), _OUTPUT_PIECE))


def _execute_result(content: Fields) -> list[Event]:
    count = content.get("execution_count")
    counted: list[Event] = [ExecutionCount(count)] if isinstance(count, int) else []
    return [*counted, Result(*_bundle(content))]


def _display_data(content: Fields) -> list[Event]:
    return [Display(*_bundle(content))]


def _update_display_data(content: Fields) -> list[Event]:
    return [DisplayUpdate(*_bundle(content))]


def _bundle(content: Fields) -> tuple[Fields, Fields, str | None]:
    display_id = _object(content, "transient").get("display_id")
    return _object(content, "data"), _object(content, "metadata"), display_id


def _object(content: Fields, name: str) -> Fields:
    value = content.get(name) or {}
    if not isinstance(value, dict):
        raise MalformedMessage(f"{name} is no object")
    return value


def _clear_output(content: Fields) -> list[Event]:
    return [ClearOutput(bool(content.get("wait")))]


def _error(content: Fields) -> list[Event]:
    return [StatusChanged("error"), error_of(content)]


def error_of(content: Fields) -> Error:
    """The error that an `error` message, or a reply with the status `error`, tells of. Raises MalformedMessage."""
    traceback = content.get("traceback") or []
    if not isinstance(traceback, list):
        raise MalformedMessage("traceback is no list")
    return Error(str(content.get("ename", "")), str(content.get("evalue", "")), tuple(map(str, traceback)))


def _input_request(content: Fields) -> list[Event]:
    prompt = str(content.get("prompt", ""))
    if prompt.startswith(_CHECKPOINT):
        return [_checkpoint(prompt.removeprefix(_CHECKPOINT))]
    return [InputRequest(prompt, bool(content.get("password")))]


def _checkpoint(asked: str) -> Event:
    try:
        told = json.loads(asked)
        return Checkpoint(str(told["name"]), told["payload"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MalformedMessage("no checkpoint") from error


def _report(content: Fields) -> list[Event]:
    kind = content.get("kind")
    if kind not in ("output", "usage", "tool_start", "tool_end"):
        return []
    return [Report(kind, {name: value for name, value in content.items() if name != "kind"})]


_TRANSLATIONS: dict[str, Callable[[Fields], list[Event]]] = {
    "execute_result": _execute_result,
    "display_data": _display_data,
    "update_display_data": _update_display_data,
    "clear_output": _clear_output,
    "error": _error,
    "input_request": _input_request,
    "execd_report": _report,
}
