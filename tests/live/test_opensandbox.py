"""OpenSandbox's lifecycle API over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

LIFECYCLES = ["/opensandbox/v1", "/opensandbox"]


@pytest.mark.parametrize("base", LIFECYCLES)
def test_opensandbox_s_lifecycle(client: httpx.Client, base: str) -> None:
    asked = {
        "image": {"uri": "python:3.12"},
        "timeout": 600,
        "resourceLimits": {"cpu": "500m", "memory": "512Mi"},
        "entrypoint": ["tail", "-f", "/dev/null"],
        "secureAccess": False,
        "env": {"A": "1"},
        "metadata": {"team": "tea"},
    }
    answer = client.post(f"{base}/sandboxes", json=asked, headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (202, "mine")
    made = answer.json()
    assert set(made) == {"id", "status", "createdAt", "expiresAt", "entrypoint", "metadata"}
    one = f"{base}/sandboxes/{made['id']}"
    assert client.get(one).json() == made | {"image": {"uri": "python:3.12"}}
    assert client.get(f"{one}/endpoints/18080").status_code == 200
    endpoint = client.get(f"{one}/endpoints/44772", params={"use_server_proxy": "true"}).json()
    assert endpoint == {"endpoint": f"{client.base_url.netloc.decode()}/v1/sandboxes/{made['id']}/proxy/44772"}
    patched = client.patch(f"{one}/metadata", json={"team": None, "x": "y"}).json()
    assert patched["metadata"] == {"x": "y"}
    until = "2099-01-01T00:00:00Z"
    assert client.post(f"{one}/renew-expiration", json={"expiresAt": until}).json() == {
        "expiresAt": "2099-01-01T00:00:00.000Z"
    }
    refused = client.post(f"{one}/pause")
    assert (refused.status_code, refused.json()["code"]) == (501, "NOT_SUPPORTED")
    assert (gone := client.delete(one)).status_code == 204
    assert gone.content == b""
    assert client.get(one).json()["code"] == "DOCKER::SANDBOX_NOT_FOUND"
    assert client.post(f"{base}/metrics/events", json={}).status_code == 204
    assert client.get(f"{base}/health").json() == {"status": "healthy"}
    assert "version" in client.get(f"{base}/version").json()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 400),
        ({"image": {"uri": ""}}, 400),
        ({"image": {"uri": "x"}, "timeout": 0}, 400),
        ({"image": {"uri": "x"}, "resourceLimits": {"cpu": "many"}}, 400),
        ({"image": {"uri": "x"}, "volumes": [{"mountPath": "/v", "host": {"path": "/etc"}}]}, 400),
        ({"image": {"uri": "x"}, "networkPolicy": {"defaultAction": "deny"}}, 501),
        ({"snapshotId": "snap_1"}, 501),
        ({"image": {"uri": "x"}, "secureAccess": True}, 501),
    ],
)
def test_what_opensandbox_cannot_make(client: httpx.Client, asked: dict[str, Any], status: int) -> None:
    answer = client.post("/opensandbox/v1/sandboxes", json=asked)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}


def test_a_sandbox_without_an_end_omits_it(client: httpx.Client) -> None:
    made = client.post("/opensandbox/v1/sandboxes", json={"image": {"uri": "x"}, "timeout": None}).json()
    assert "expiresAt" not in made
    client.delete(f"/opensandbox/v1/sandboxes/{made['id']}")
