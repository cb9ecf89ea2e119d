"""Jupyter's iopub messages as execd's events. Pure: what a kernel said in, what clients are told out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from execd.events import (
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Event,
    ExecutionCount,
    InputRequest,
    Result,
    StatusChanged,
    Stderr,
    Stdout,
)
from execd.kernel.messages import Message

Fields = dict[str, Any]


def events_of(message: Message) -> list[Event]:
    """The events that a message stands for, in order; none for what clients need not know."""
    translate = _TRANSLATIONS.get(message.type)
    return translate(message.content) if translate else []


def _stream(content: Fields) -> list[Event]:
    text = str(content.get("text", ""))
    if not text:
        return []
    return [Stderr(text)] if content.get("name") == "stderr" else [Stdout(text)]


def _execute_result(content: Fields) -> list[Event]:
    return [ExecutionCount(int(content["execution_count"])), Result(*_bundle(content))]


def _display_data(content: Fields) -> list[Event]:
    return [Display(*_bundle(content))]


def _update_display_data(content: Fields) -> list[Event]:
    return [DisplayUpdate(*_bundle(content))]


def _bundle(content: Fields) -> tuple[Fields, Fields, str | None]:
    display_id = (content.get("transient") or {}).get("display_id")
    return content.get("data") or {}, content.get("metadata") or {}, display_id


def _clear_output(content: Fields) -> list[Event]:
    return [ClearOutput(bool(content.get("wait")))]


def _error(content: Fields) -> list[Event]:
    traceback = tuple(str(line) for line in content.get("traceback") or ())
    return [StatusChanged("error"), Error(str(content.get("ename", "")), str(content.get("evalue", "")), traceback)]


def _input_request(content: Fields) -> list[Event]:
    return [InputRequest(str(content.get("prompt", "")), bool(content.get("password")))]


_TRANSLATIONS: dict[str, Callable[[Fields], list[Event]]] = {
    "stream": _stream,
    "execute_result": _execute_result,
    "display_data": _display_data,
    "update_display_data": _update_display_data,
    "clear_output": _clear_output,
    "error": _error,
    "input_request": _input_request,
}
