"""What an activity demands of the service's answers."""

from __future__ import annotations

_SHOWN = 400


class Wrong(Exception):
    """The service has answered something else than it had to: a defect, whatever leaks or does not."""


def same(found: object, wanted: object, what: str = "") -> None:
    """Raise Wrong unless both are equal; `what` says what was asked."""
    if found != wanted:
        raise Wrong(f"{what or 'the answer'} was {_short(found)}, not {_short(wanted)}")


def holds(condition: bool, said: str, found: object = "") -> None:
    """Raise Wrong unless it holds; `said` is what is wrong then, and `found` what shows it."""
    if not condition:
        raise Wrong(f"{said}: {_short(found)}" if found != "" else said)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]} ({len(text)} characters)"
