r"""The file of variables that persist for everything started later (EXECD_ENVS), in OpenSandbox's grammar.

    # a comment, and empty lines           skipped
    NAME=value                             trimmed, $NAME and ${NAME} expanded
    NAME="a \"b\" \n \t \\ $OTHER"         escapes and expansion
    NAME='literal, may
    span lines'                            as it is

The last assignment to a name wins; a line that is none of these is skipped, and so is a value with a NUL in it, which
no process can be given. A variable that is not known expands to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from execd.errors import NotAFile
from execd.isolation.root import Root

MOST_BYTES = 4 * 1024 * 1024

_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=
        (?:"(?P<double>(?:[^"\\]++|\\.)*+)"[ \t\r]*$ | '(?P<single>[^']*)'[ \t\r]*$ | (?P<bare>(?!["'])[^\n]*)$)""",
    re.MULTILINE | re.VERBOSE | re.DOTALL,
)
_EXPANSION = re.compile(r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})")
_DOUBLE_QUOTED = re.compile(r"\\(?P<escape>.)|" + _EXPANSION.pattern, re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_env_file(root: Root, path: PurePath) -> str:
    """The file's text, exactly; bytes that are no UTF-8 are what os.fsencode makes bytes again.

    Users' code may write there: what is no plain file, or not there, is empty, and only so much is read.
    """
    try:
        return root.read_text(path, MOST_BYTES)
    except (OSError, NotAFile):
        return ""


def parse_env_file(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """The assignments in `text`; `known` are the variables that expansions may use besides earlier assignments."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _ASSIGNMENT.match(text, position)
        if match is None:
            position = _next_line(text, position)
            continue
        value = _value(match, {**known, **found})
        if "\0" not in value:
            found[match["name"]] = value
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
