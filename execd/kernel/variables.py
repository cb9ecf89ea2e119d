"""The environment variables that one run may have. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from execd.errors import EnvsUnavailable, InvalidRequest
from execd.kernel.kernelspec import KernelSpec

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(envs: Mapping[str, str], spec: KernelSpec | None = None) -> None:
    """Raise EnvsUnavailable when kernels of this kind take none at all, InvalidRequest, which names no value, for a
    variable that cannot be. Without a spec, it is a process of its own that shall have them."""
    if envs and spec is not None and not spec.takes_envs:
        raise EnvsUnavailable(spec.language)
    for name, value in envs.items():
        expected = _expected(name, value, shell=spec is not None and spec.engine == "bash")
        if expected:
            raise InvalidRequest(f"expected {expected}", f"envs.{name[:40]!a}")


def _expected(name: str, value: str, *, shell: bool) -> str | None:
    if not name or "=" in name:
        return "a name without ="
    if "\0" in name + value:
        return "no NUL bytes"
    if shell and not _IDENTIFIER.fullmatch(name):
        return "a name that a shell can have: letters, digits and _, no digit first"
    return None if _encodable(name + value) else "valid Unicode, without lone surrogates"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
