"""Calls Baponi's SDK and its adapters: `python baponi_calls.py sync|async URL`, in that client's environment.

Reads lines of JSON, `[what, arguments, keywords]`, and answers each with a line: what the call returned, or the
error's type, status and message. `what` is a method of the client, or one of `Caller`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import warnings
from typing import Any

import httpx

# It warns of plain HTTP.
warnings.simplefilter("ignore")

import baponi  # type: ignore[import-not-found,unused-ignore]  # noqa: E402


class Caller:
    """The client in one of its two variants, behind one face."""

    def __init__(self, variant: str, url: str, runner: asyncio.Runner) -> None:
        self._url = url
        self._runner = runner
        options: dict[str, Any] = {"api_key": "sk-us-any", "base_url": url, "max_retries": 0}
        self.client: Any = baponi.Baponi(**options) if variant == "sync" else baponi.AsyncBaponi(**options)
        self._handles: dict[str, Any] = {}

    def wait(self, value: Any) -> Any:
        """The value, or what it comes to."""
        return self._runner.run(value) if inspect.iscoroutine(value) else value

    def call(self, what: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """What a call returns."""
        mine = getattr(self, what, None)
        return told(self.wait((mine or getattr(self.client, what))(*arguments, **keywords)))

    def stream(self, code: str, take: int | None = None, cancel: bool = False, **keywords: Any) -> Any:
        """The events of `execute_stream`: the first ones, or all, cancelled when it has printed something."""
        return self._drained(self.wait(self.client.execute_stream(code, **keywords)), take, cancel)

    def reconnect(self, trace_id: str, after_seq: int) -> Any:
        """The events of `reconnect_stream`."""
        return self._drained(self.wait(self.client.reconnect_stream(trace_id, after_seq=after_seq)), None, False)

    def until_done(self, trace_id: str) -> Any:
        """What a reconnected stream comes to."""
        return self.wait(self.wait(self.client.reconnect_stream(trace_id)).until_done())

    def webhook(self, code: str, **keywords: Any) -> str:
        """The id of what `execute_webhook` has started."""
        handle = self.wait(self.client.execute_webhook(code, **keywords))
        self._handles[handle.trace_id] = handle
        return str(handle.trace_id)

    def handle(self, trace_id: str, what: str, **keywords: Any) -> Any:
        """A method of such a handle."""
        return self.wait(getattr(self._handles[trace_id], what)(**keywords))

    def put(self, content: str, **wanted: Any) -> int:
        """Upload a file by a URL that is asked for, without a key; the status of that."""
        signed = self.wait(self.client.upload_url(content_length=len(content.encode()), **wanted))
        headers = {header.name: header.value for header in signed.headers}
        return httpx.request(signed.method, signed.url, content=content.encode(), headers=headers).status_code

    def get(self, **wanted: Any) -> str:
        """Download a file by a URL that is asked for, without a key."""
        signed = self.wait(self.client.download_url(**wanted))
        return httpx.request(signed.method, signed.url).raise_for_status().text

    def adapter(self, name: str, arguments: dict[str, Any]) -> str:
        """What an adapter's tool tells a model."""
        options: dict[str, Any] = {"api_key": "any", "base_url": self._url, "thread_id": "adapters"}
        match name:
            case "anthropic":
                from baponi.anthropic import create_code_sandbox  # type: ignore[import-not-found,unused-ignore]

                tool, handler = create_code_sandbox(**options)
                found = handler(tool["name"], arguments)
            case "langchain":
                from baponi.langchain import (  # type: ignore[import-not-found,unused-ignore]
                    create_code_sandbox as create_tool,
                )

                tool = create_tool(**options)
                found = tool.invoke(arguments) if self._is_sync else self.wait(tool.ainvoke(arguments))
            case _:
                from baponi.google import (  # type: ignore[import-not-found,unused-ignore]
                    create_code_sandbox as create_function,
                )

                found = create_function(**options)(**arguments)
        return str(found)

    def deepagents(self, what: str, *arguments: Any) -> Any:
        """A method of the sandbox that Deep Agents works in."""
        from langchain_baponi import BaponiSandbox  # type: ignore[import-not-found,unused-ignore]

        with BaponiSandbox(api_key="any", base_url=self._url, thread_id="deepagents") as sandbox:
            return getattr(sandbox, what)(*arguments)

    @property
    def _is_sync(self) -> bool:
        return isinstance(self.client, baponi.Baponi)

    def _drained(self, stream: Any, take: int | None, cancel: bool) -> Any:
        events: list[Any] = []
        while (take is None or len(events) < take) and (event := self._next(stream)) is not None:
            events.append(event)
            if cancel and event.type == "output":
                self.wait(stream.cancel())
                cancel = False
        done = bool(events) and events[-1].type == "result"
        final = stream.get_final_result() if done else None
        self.wait(stream.close())
        return {"events": events, "final": final, "last_seq": stream.last_seq, "trace_id": stream.trace_id}

    def _next(self, stream: Any) -> Any:
        if self._is_sync:
            return next(stream, None)
        try:
            return self._runner.run(stream.__anext__())
        except StopAsyncIteration:
            return None


def told(value: Any) -> Any:
    """What a call returned, as JSON can have it."""
    match value:
        case bytes():
            return value.decode()
        case list() | tuple():
            return [told(part) for part in value]
        case dict():
            return {str(name): told(part) for name, part in value.items()}
        case str() | int() | float() | None:
            return value
    return told(value.model_dump() if hasattr(value, "model_dump") else vars(value))


def main(variant: str, url: str) -> None:
    """Answer every line of standard input."""
    os.environ["BAPONI_API_KEY"] = "any"
    with asyncio.Runner() as runner:
        caller = Caller(variant, url, runner)
        for line in sys.stdin:
            what, arguments, keywords = json.loads(line)
            try:
                tell(caller.call(what, arguments, keywords))
            except Exception as error:  # noqa: BLE001  # whatever it is, the test shall see it
                status = getattr(error, "status_code", None)
                tell({"error": type(error).__name__, "status": status, "message": str(error)})
        caller.wait(caller.client.close())


def tell(answer: Any) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
