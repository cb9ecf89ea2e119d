"""Calls Nullspace's SDK: `python nullspace_calls.py GENERATION URL [KEY]`, in that client's environment. The generation
is `sandboxes` or `machines`, or one of these after `async-`, which is the SDK's other variant.

Reads lines of JSON, `[what, arguments, keywords]`, and answers each with a line: what the call returned, or the
error's type, code and message. `what` is a path of names, such as `commands.run`, from the sandbox on, which is made at
first and killed at the end of the input; a name of the sandbox's class begins with a dot. Bytes are told, and given, as
`{"base64": text}`. What commands print live, and what the callbacks are told that a call names in `callbacks`, is told
by `heard`.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import inspect
import json
import sys
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any

import nullspace  # type: ignore[import-not-found,unused-ignore]

HEARD: list[Any] = []
KIND: Any = {"sandboxes": "Sandbox", "machines": "Machine"}
WHEELS = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/workspace/wheels", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


async def main(generation: str, url: str, key: str = "any") -> None:
    """Answer every line of standard input."""
    variant, _, noun = generation.rpartition("-")
    kind = getattr(nullspace, ("Async" if variant else "") + KIND[noun])
    options = {"api_key": key, "base_url": url}
    sandbox = await whole(kind.create(envs={"GREETING": "hello", **WHEELS}, metadata={"team": "tea"}, **options))
    try:
        tell(sandbox.id)
        for line in sys.stdin:
            what, arguments, keywords = json.loads(line)
            try:
                tell(told(await whole(call(kind, sandbox, options, what, arguments, keywords))))
            except Exception as error:  # noqa: BLE001  # whatever it is, the test shall see it
                code = getattr(error, "code", None)
                tell({"error": type(error).__name__, "code": code, "message": str(error)})
    finally:
        await whole(sandbox.kill())


async def whole(found: Any) -> Any:
    """What a call of either variant returns."""
    return await found if inspect.isawaitable(found) else found


def call(kind: Any, sandbox: Any, options: Any, what: str, arguments: Any, keywords: Any) -> Any:
    """Make one call."""
    if what == "heard":
        return HEARD
    for name in keywords.pop("callbacks", ()):
        keywords[name] = partial(hear, name)
    if keywords.pop("live", False):
        keywords["on_stdout"] = HEARD.append
    found = kind if what.startswith(".") else sandbox
    for name in what.lstrip(".").split("."):
        found = getattr(found, name)
    given = [given_value(value) for value in arguments]
    return found(*given, **keywords, **(options if what.startswith(".") else {}))


def hear(name: str, value: Any) -> None:
    """What a callback was told."""
    HEARD.append([name, value])


def given_value(value: Any) -> Any:
    """An argument, with its bytes and lists of pairs as the SDK wants them."""
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"])
    if isinstance(value, list):
        return [tuple(given_value(part) for part in pair) if isinstance(pair, list) else pair for pair in value]
    return value


def told(value: Any) -> Any:
    """What a call returned, as JSON can have it."""
    match value:
        case bytes():
            found: Any = {"base64": base64.b64encode(value).decode()}
        case Enum():
            found = told(value.value)
        case datetime():
            found = value.isoformat()
        case list() | tuple():
            found = [told(part) for part in value]
        case dict():
            found = {str(name): told(part) for name, part in value.items()}
        case str() | int() | float() | bool() | None:
            found = value
        case _:
            found = {name: told(getattr(value, name)) for name in names(value)}
    return found


def names(value: Any) -> list[str]:
    """What is told of an object."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if not field.name.startswith("_")]
    return [name for name in ("id", "pid", "items") if hasattr(value, name)]


def tell(answer: Any) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
