"""/v1/isolated/…: nothing can be isolated, and that is said."""

from __future__ import annotations

import httpx
import pytest

from execd.app import OPERATIONS


def test_the_capabilities_say_so(client: httpx.Client) -> None:
    told = client.get("/v1/isolated/capabilities").json()
    assert told["available"] is False
    assert told["message"]
    assert (told["setpriv_available"], told["userns_available"]) == (False, False)
    assert {layer["state"] for name, layer in told["hardening"].items() if isinstance(layer, dict)} == {"disabled"}


ROUTES = [
    (operation.method, operation.path)
    for operation in OPERATIONS
    if operation.path.startswith("/v1/isolated/") and not operation.path.endswith("/capabilities")
]


def test_there_are_routes() -> None:
    assert len(ROUTES) == 20


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_everything_else_is_unavailable(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path.format(session_id="s", run_id="r"))
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
