r"""The file of variables that persist for everything started later (EXECD_ENVS), in OpenSandbox's grammar.

    # a comment, and empty lines           skipped
    NAME=value                             trimmed, $NAME and ${NAME} expanded
    NAME="a \"b\" \n \t \\ $OTHER"         escapes and expansion
    NAME='literal, may
    span lines'                            as it is

The last assignment to a name wins; a line that is none of these is skipped. A variable that is not known expands to
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=
        (?:"(?P<double>(?:[^"\\]|\\.)*)"[ \t]*$ | '(?P<single>[^']*)'[ \t]*$ | (?P<bare>(?!["'])[^\n]*)$)""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)
_EXPANSION = re.compile(r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})")
_DOUBLE_QUOTED = re.compile(r"\\(?P<escape>.)|" + _EXPANSION.pattern, re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse_env_file(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """The assignments in `text`; `known` are the variables that expansions may use besides earlier assignments."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ASSIGNMENT.match(text, position)
        if match is None:
            position = _next_line(text, position)
            continue
        found[match["name"]] = _value(match, {**known, **found})
        position = _next_line(text, match.end())
    return found


def _next_line(text: str, position: int) -> int:
    line_end = text.find("\n", position)
    return len(text) if line_end < 0 else line_end + 1


def _value(match: re.Match[str], known: Mapping[str, str]) -> str:
    if match["single"] is not None:
        return match["single"]
    if match["double"] is not None:
        return _DOUBLE_QUOTED.sub(lambda found: _unquoted(found, known), match["double"])
    return _EXPANSION.sub(lambda found: _expanded(found, known), match["bare"].strip())


def _unquoted(found: re.Match[str], known: Mapping[str, str]) -> str:
    escape = found["escape"]
    if escape is None:
        return _expanded(found, known)
    return _ESCAPES.get(escape, escape if escape in '\\"$' else f"\\{escape}")


def _expanded(found: re.Match[str], known: Mapping[str, str]) -> str:
    return known.get(found["plain"] or found["braced"], "")
