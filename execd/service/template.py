"""Code templates: `{{ name }}` in an agent's code stands for what its input has there, as a literal of the language.

What is put in is always one literal, whatever the input says: it can end no string and begin no statement. Pure.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from execd.errors import InvalidRequest
from execd.kernel.kernelspec import KernelSpec

_PLACE = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)


def filled(code: str, given: Mapping[str, Any], spec: KernelSpec) -> str:
    """The code with the input in its places; `a.b` is the `b` of the object `a`. Raises InvalidRequest for a place that
    the input has nothing for, or a language without templates."""
    literal = _literal(spec)
    return _PLACE.sub(lambda found: literal(_at(given, found[1])), code)


def check_language(spec: KernelSpec) -> None:
    """Raise InvalidRequest for a language without templates."""
    _literal(spec)


def _literal(spec: KernelSpec) -> Callable[[Any], str]:
    if spec.engine == "bash":
        return _shell_word
    if spec.language == "python":
        return repr
    raise InvalidRequest(f"there are no templates in {spec.language}; its code gets the input otherwise", "config")


def _shell_word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if "\0" in text:
        raise InvalidRequest("expected text without a NUL, which no shell can have", "input")
    return shlex.quote(text)


def _at(given: Mapping[str, Any], path: str) -> Any:
    found: Any = given
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            raise InvalidRequest(f"the code wants {path!r}, which is not there", "input")
        found = found[name]
    return found
