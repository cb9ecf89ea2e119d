"""Agents over HTTP, for tests: made, run, looked at."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.live.waiting import eventually


class Agents:
    """What a client does with agents."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def make(self, code: str = "1", *, schema: dict[str, Any] | None = None, **config: Any) -> str:
        """A new agent with one version; its id."""
        agent_id = str(self.ok("POST", "/agents", {"name": "an agent"})["id"])
        self.version(agent_id, code, schema=schema, **config)
        return agent_id

    def version(self, agent_id: str, code: str, *, schema: dict[str, Any] | None = None, **config: Any) -> str:
        """A new version of an agent; its id."""
        body = {"version": "v", "config": {"code": code, **config}, "input_schema": schema or {}}
        return str(self.ok("POST", f"/agents/{agent_id}/versions", body)["id"])

    def run(self, agent_id: str, given: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A run's record, as the call that starts it answers."""
        found: dict[str, Any] = self.ok("POST", f"/agents/{agent_id}/execute", {"input": given or {}, **more})
        return found

    def get(self, run: dict[str, Any]) -> dict[str, Any]:
        """A run's record now."""
        found: dict[str, Any] = self.ok("GET", f"/executions/{run['id']}")
        return found

    def becomes(self, run: dict[str, Any], *statuses: str) -> dict[str, Any]:
        """A run's record once it is in one of these statuses."""
        eventually(lambda: self.get(run)["status"] in statuses)
        return self.get(run)

    def stream(self, run: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The frames of a run's stream, to its end."""
        text = self.client.get(f"/api/v1/executions/{run['id']}/stream").raise_for_status().text
        assert "\r" not in text
        frames = [frame.split("\n") for frame in text.split("\n\n") if frame.startswith("event: ")]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """What a call that succeeds answers."""
        answer = self.client.request(method, f"/api/v1{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def page(self, path: str, **query: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """A page of a list, and what is said of it."""
        answer = self.client.get(f"/api/v1{path}", params=query).raise_for_status().json()
        return answer["data"], answer["meta"]

    def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """How a call is refused."""
        answer = self.client.request(method, f"/api/v1{path}", json=body)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]
