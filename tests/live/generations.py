"""The two generations of Nullspace's API, which tests speak in turn."""

from __future__ import annotations

from typing import Any

import httpx

BASES = {"sandboxes": ("/v1/sandboxes", "sb_", "sandbox"), "machines": ("/v1/machines", "mch_", "machine")}


class Generation:
    """One generation of the API, at its base."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self.client = client
        self.base, self.prefix, self.noun = BASES[name]
        self.made: list[str] = []

    def create(self, **asked: Any) -> dict[str, Any]:
        """A sandbox; it ends with the test."""
        answer = self.client.post(self.base, json=asked)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        self.made.append(found["id"])
        return found

    def url(self, sandbox_id: str, path: str = "") -> str:
        """A path of a sandbox."""
        return f"{self.base}/{sandbox_id}{path}"

    def post(self, sandbox_id: str, below: str, /, **body: Any) -> httpx.Response:
        """A call on a sandbox."""
        return self.client.post(self.url(sandbox_id, below), json=body)
