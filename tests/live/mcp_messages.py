"""MCP by hand: JSON-RPC messages, one a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

Json = dict[str, Any]

BOTH = "application/json, text/event-stream"


@dataclass
class Mcp:
    """A client at a path, with headers of its own; it keeps no session unless it is told of one."""

    client: httpx.Client
    path: str = "/mcp"
    headers: Mapping[str, str] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(1))

    def send(
        self, method: str, params: Json | None = None, *, accept: str = "application/json", headers: Any = None
    ) -> httpx.Response:
        """A request, and what comes of it."""
        message = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params or {}}
        return self.post(message, accept=accept, headers=headers)

    def post(self, message: Json, *, accept: str = "application/json", headers: Any = None) -> httpx.Response:
        """A message, and what comes of it."""
        given = {"Accept": accept, **self.headers, **(headers or {})}
        if not accept:
            del given["Accept"]
        request = self.client.build_request("POST", self.path, json=message, headers=given)
        if not accept:
            del request.headers["accept"]
        return self.client.send(request)

    def result(self, answer: httpx.Response) -> Json:
        """The result that an answer carries, as JSON or as the last message of a stream."""
        assert answer.status_code == 200, answer.text
        text = answer.text
        if answer.headers["content-type"].startswith("text/event-stream"):
            text = [line for line in text.splitlines() if line.startswith("data: ")][-1].removeprefix("data: ")
        message = json.loads(text)
        assert "result" in message, message
        found: Json = message["result"]
        return found

    def request(self, method: str, params: Json | None = None) -> Json:
        """A request's result."""
        return self.result(self.send(method, params))

    def call(self, tool: str, **arguments: Any) -> Json:
        """What a tool answers."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def text(self, tool: str, **arguments: Any) -> str:
        """The text that a tool answers."""
        return "\n".join(texts_of(self.call(tool, **arguments)))

    def until_printed(self, execution_id: str, text: str) -> None:
        """Return when an execution has printed this."""
        while text not in self.text("get_execution", execution_id=execution_id):
            assert self.call("get_execution", execution_id=execution_id)["structuredContent"]["finished"] is False

    def read(self, uri: str) -> Json:
        """A resource's content."""
        (found,) = self.request("resources/read", {"uri": uri})["contents"]
        assert found["uri"] == uri
        content: Json = found
        return content

    def client_info(self) -> Json:
        """What a client says of itself."""
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "by-hand", "version": "1"},
        }

    def in_session(self) -> Mcp:
        """The same in a new session."""
        answer = self.send("initialize", self.client_info(), accept=BOTH)
        self.result(answer)
        began = Mcp(self.client, self.path, {**self.headers, "Mcp-Session-Id": answer.headers["mcp-session-id"]})
        told = began.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, accept=BOTH)
        assert told.status_code == 202
        return began


def texts_of(result: Json) -> list[str]:
    """All text of a tool's answer; there is one block of it."""
    return [block["text"] for block in result["content"] if block["type"] == "text"]
