"""The environment of what runs in a sandbox: one builder for kernels, commands, sessions and terminals.

It starts from an allow-list of the service's variables, never from all of them; the sandbox's own variables come on
top, then the EXECD_ENVS file as it is at that moment, then what the request asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePath

from execd.errors import InvalidRequest
from execd.isolation.root import Root
from execd.service.env_file import parse_env_file, read_env_file

_OURS = "EXECD_"
_VARIABLE = re.compile(r"\$(?:(?P<plain>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\})")


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


class Environment:
    """Makes environments. `fixed` are the variables that everything in the sandbox has; `env_file` is in its `root`."""

    def __init__(self, root: Root, base: Mapping[str, str], fixed: Mapping[str, str], env_file: PurePath) -> None:
        self._root = root
        self._base = {**base, **fixed, "EXECD_ENVS": str(env_file)}
        self._env_file = env_file

    def build(self, cwd: PurePath, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a process that starts in `cwd`, with a request's `extra` variables."""
        return {**self.lasting(), "PWD": str(cwd), **(extra or {})}

    def lasting(self) -> dict[str, str]:
        """The environment without what one process adds to it."""
        return {**self._base, **parse_env_file(read_env_file(self._root, self._env_file), self._base)}


def expand_path(path: str, environment: Mapping[str, str], field: str) -> str:
    """The path with `~`, `$NAME` and `${NAME}` expanded. Raises InvalidRequest for a variable that is not set."""

    def value(found: re.Match[str]) -> str:
        name = found["plain"] or found["braced"]
        if name not in environment:
            raise InvalidRequest(f"expected variables that are set, ${name} is not", field)
        return environment[name]

    expanded = _VARIABLE.sub(value, path)
    if expanded == "~" or expanded.startswith("~/"):
        return environment.get("HOME", "/") + expanded[1:]
    return expanded
