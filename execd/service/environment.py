"""The environment of what runs in a sandbox: made from an allow-list, never the service's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

_OURS = "EXECD_"


def sandbox_environment(service: Mapping[str, str], allowed: Iterable[str]) -> dict[str, str]:
    """The variables of the service's environment whose names match a pattern (`*` as a wildcard).

    A variable of execd itself never passes, whatever the patterns say: its token must not reach user code.
    """
    patterns = tuple(allowed)
    return {
        name: value
        for name, value in service.items()
        if not name.startswith(_OURS) and any(fnmatchcase(name, pattern) for pattern in patterns)
    }
