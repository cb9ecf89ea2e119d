"""What webhooks are sent: the record in an envelope, within a size."""

from __future__ import annotations

import json
from typing import Any

import pytest

from execd.service.rendering import message

AT = 1_767_323_045_678


def sent(record: dict[str, Any], most: int = 1 << 20) -> dict[str, Any]:
    """The envelope."""
    body = message("execution.failed", AT, record, most)
    assert body.isascii()
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_envelope() -> None:
    assert sent({"a": "\u00e9\ud800"}) == {
        "type": "execution.failed",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {"a": "\u00e9\ud800"},
    }


TEXT, NUMBERS = "x" * 30_000 + "end", list(range(10_000))


@pytest.mark.parametrize(
    ("record", "most", "shortened"),
    [
        ({"id": "a", "stdout": TEXT}, 40_000, None),
        ({"id": "a", "stdout": TEXT}, 20_000, ["stdout"]),
        ({"id": "a", "stdout": TEXT, "stderr": TEXT}, 60_000, ["stdout"]),
        ({"id": "a", "stdout": TEXT, "stderr": TEXT}, 40_000, ["stderr", "stdout"]),
        ({"id": "a", "stdout": TEXT, "output": NUMBERS}, 40_000, ["output"]),
        ({"id": "a", "stdout": TEXT, "output": NUMBERS}, 20_000, ["output", "stdout"]),
        ({"id": "a", "stdout": "\u2028" * 30_000}, 100_000, ["stdout"]),
    ],
)
def test_the_largest_fields_are_shortened(record: dict[str, Any], most: int, shortened: list[str] | None) -> None:
    found = sent(record, most)
    assert len(message("execution.failed", AT, record, most)) <= most
    assert found.get("shortened") == shortened
    for name, value in record.items():
        kept = found["data"][name]
        if name not in (shortened or ()):
            assert kept == value
        else:
            assert kept == (value[-16384:] if isinstance(value, str) else None)
