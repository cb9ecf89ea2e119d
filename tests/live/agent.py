"""An agent that speaks Baponi's API by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

NDJSON = {"Accept": "application/x-ndjson"}
ASYNC = {"Prefer": "respond-async"}


class Agent:
    """Runs programs over an HTTP client."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def post(self, code: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        """The answer to a program."""
        return self.client.post("/v1/sandbox/execute", json={"code": code, **fields}, headers=headers)

    def run(self, code: str, **fields: Any) -> dict[str, Any]:
        """How a program ended."""
        answer = self.post(code, **fields)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def start(self, code: str, **fields: Any) -> str:
        """The id of a program that nobody waits for."""
        answer = self.post(code, ASYNC, **fields)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        return str(answer.json()["trace_id"])

    def stream(self, code: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """The events of a program, as they come."""
        body = {"code": code, **fields}
        with self.client.stream("POST", "/v1/sandbox/execute", json=body, headers=NDJSON) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(NDJSON["Accept"])
            for line in answer.iter_lines():
                yield json.loads(line)

    def output(self, trace_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """The events of a program that was started before."""
        with self.client.stream(
            "GET", f"/v1/executions/{trace_id}/output", params={"after_seq": after}, headers=NDJSON
        ) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                yield json.loads(line)

    def record(self, trace_id: str) -> dict[str, Any]:
        """What is known of a program."""
        found: dict[str, Any] = self.client.get(f"/v1/executions/{trace_id}").raise_for_status().json()
        return found

    def cancel(self, trace_id: str) -> httpx.Response:
        """Have it killed."""
        return self.client.post(f"/v1/executions/{trace_id}/cancel", headers={"Content-Type": "application/json"})

    def files(self, what: str, **body: Any) -> httpx.Response:
        """A call about the files of a thread."""
        return self.client.post(f"/v1/files/{what}", json={"source": "thread", **body})
