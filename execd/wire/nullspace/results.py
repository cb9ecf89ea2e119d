"""What a run has brought forth, in Nullspace's words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from execd.events import Bundle
from execd.service.outputs import Outputs
from execd.service.rich_data import chart_of

Json = dict[str, Any]
Dress = Callable[[Mapping[str, Any]], Json]
"""Gives an artifact the links that whoever asks may follow."""

_TEXTS = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "text/javascript": "javascript",
    "application/javascript": "javascript",
}
_JSON = "application/json"


def result_body(bundle: Mapping[str, Any], *, is_main: bool) -> Json:
    """A result: the field of each MIME type that has one, and the whole bundle in `data`. What is no text where text
    should be is only there."""
    found: Json = {
        name: bundle[mime_type] for mime_type, name in _TEXTS.items() if isinstance(bundle.get(mime_type), str)
    }
    if _JSON in bundle:
        found["json"] = bundle[_JSON]
    found["data"] = dict(bundle)
    if (chart := chart_of(Bundle(bundle, {}))) is not None:
        found["chart"] = dict(chart)
    return {**found, "is_main_result": is_main}


def error_body(error: Mapping[str, Any]) -> Json:
    """An error of a journal, its traceback as one text."""
    return {"name": error["ename"], "value": error["evalue"], "traceback": "\n".join(error["traceback"])}


def execution_body(outputs: Outputs, dress: Dress = dict) -> Json:
    """All of it."""
    found: Json = {
        "results": [result_body(shown.data, is_main=shown.is_main) for shown in outputs.results],
        "artifacts": [dress(artifact) for artifact in outputs.artifacts],
        "logs": {"stdout": list(outputs.stdout), "stderr": list(outputs.stderr)},
    }
    if outputs.error is not None:
        found["error"] = error_body(outputs.error)
    if outputs.execution_count is not None:
        found["execution_count"] = outputs.execution_count
    return found
