"""Environment variables of one run: set while it runs, and put back afterwards."""

import os
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

KEY = "execd_envs"
"""Where an execute_request has them in its metadata: names to values."""


class Secrets(dict[str, str]):
    """Names and values that are not shown: stock logs whole messages."""

    def __repr__(self) -> str:
        return "<variables of this run>"


def hidden_in(message: dict[str, Any]) -> dict[str, Any]:
    """A message that was received, its variables not shown."""
    metadata = message.get("metadata")
    if metadata and KEY in metadata:
        metadata[KEY] = Secrets(metadata[KEY])
    return message


def taken_from(request: dict[str, Any]) -> dict[str, str]:
    """The variables of a request, which has them no more: what user code sees of it, and keeps, tells no value."""
    envs: dict[str, str] = (request.get("metadata") or {}).pop(KEY, {})
    return envs


@contextmanager
def set_for_a_run(envs: Mapping[str, str]) -> Iterator[None]:
    """Have these variables inside the block. Afterwards each is what it was, or absent again, whatever the code has
    made of it; others are left alone."""
    environ = os.environ
    before = {name: environ.get(name) for name in envs}
    try:
        put(environ, envs)
        yield
    finally:
        if os.environ is not environ:  # The code may have put a copy in its place.
            put(os.environ, before)
        put(environ, before)


def put(environ: MutableMapping[str, str], values: Mapping[str, str | None]) -> None:
    """Set variables, and remove those that are None, also where the mapping does not know of them."""
    for name, value in values.items():
        if value is not None:
            environ[name] = value
        elif environ.pop(name, None) is None:
            os.unsetenv(name)
    if "TZ" in values:
        time.tzset()
