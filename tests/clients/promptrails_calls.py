"""Calls PromptRails' SDK: `python promptrails_calls.py URL KEY sync|async`, in that client's environment.

Reads lines of JSON, `[what, arguments, keywords]`, and answers each with a line: what the call returned, or the error's
type, status and message. `what` is a path of names from the client on, such as `agents.execute`; what it iterates over
is told as a list. A keyword `config` is given as the SDK wants it, an object with `to_dict`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import sys
from typing import Any

import promptrails  # type: ignore[import-not-found,unused-ignore]


class Config(promptrails.AgentConfig):  # type: ignore[misc,unused-ignore]
    """A version's config: whatever it is given."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def to_dict(self) -> dict[str, Any]:
        """As it was given."""
        return self._given


async def main(url: str, key: str, kind: str) -> None:
    """Answer every line of standard input."""
    make = promptrails.PromptRails if kind == "sync" else promptrails.AsyncPromptRails
    client = make(api_key=key, base_url=url)
    for line in sys.stdin:
        what, arguments, keywords = json.loads(line)
        try:
            tell(told(await call(client, what, arguments, keywords)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shall see it
            status = getattr(error, "status_code", None)
            tell({"error": type(error).__name__, "status": status, "message": str(error)})


async def call(client: Any, what: str, arguments: Any, keywords: Any) -> Any:
    """Make one call, of either client."""
    found = client
    for name in what.split("."):
        found = getattr(found, name)
    if "config" in keywords:
        keywords["config"] = Config(keywords["config"])
    value = found(*arguments, **keywords)
    if inspect.isawaitable(value):
        return await value
    if inspect.isasyncgen(value):
        return [part async for part in value]
    return list(value) if inspect.isgenerator(value) else value


def told(value: Any) -> Any:
    """What a call returned, as JSON can have it."""
    if dataclasses.is_dataclass(value):
        return {field.name: told(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [told(part) for part in value]
    return value


def tell(answer: Any) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
