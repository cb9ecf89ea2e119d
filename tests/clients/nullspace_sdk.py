"""Nullspace's SDKs of both generations, each in a process and an environment of its own."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients.dialogue import Dialogue, dialogue
from tests.clients.environments import python_environment

CALLS = Path(__file__).parent / "nullspace_calls.py"
GENERATIONS = {"sandboxes": "clients-nullspace-0", "machines": "clients-nullspace-1"}
PREFIXES = {"sandboxes": "sb_", "machines": "mch_"}


class Sdk:
    """A sandbox of one of the SDKs, and its id."""

    def __init__(self, generation: str, talk: Dialogue) -> None:
        self.generation = generation
        self.id = str(talk.hear())
        self._talk = talk

    def call(self, what: str, *arguments: Any, **keywords: Any) -> Any:
        """What a call returns, or the error that it raises."""
        return self._talk.ask(what, arguments, keywords)

    def code(self, what: str, *arguments: Any, **keywords: Any) -> Any:
        """The same for a call of the code interpreter."""
        return self.call(f"code_interpreter.{what}", *arguments, **keywords)

    def run(self, command: str, **keywords: Any) -> Any:
        """What a shell line does."""
        return self.call("commands.run", command, shell=True, **keywords)


@contextmanager
def opened(folder: Path, generation: str, url: str) -> Iterator[Sdk]:
    """A sandbox of a generation, `async-` before it for the SDK's other variant, while the block runs."""
    noun = generation.removeprefix("async-")
    python = python_environment(GENERATIONS[noun]) / "python"
    with dialogue(folder, str(python), str(CALLS), generation, url) as talk:
        yield Sdk(noun, talk)


def encoded(content: bytes) -> dict[str, str]:
    """Bytes on their way to the SDK, or from it."""
    return {"base64": base64.b64encode(content).decode()}
