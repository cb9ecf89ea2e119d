"""execd for one sandbox, and the ports in it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.live.generations import Generation
from tests.live.proxying import Backend, running_backend
from tests.running_service import RunningService


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """A program that listens."""
    with running_backend() as running:
        yield running


def test_execd_for_one_sandbox(generation: Generation, client: httpx.Client) -> None:
    made = generation.create(envs={"WHOSE": "mine"})["id"]
    execd = generation.url(made, "/proxy/44772")
    assert client.get(f"{execd}/ping").status_code == 200
    stream = client.post(f"{execd}/code", json={"code": "echo $WHOSE", "context": {"language": "bash"}}).text
    assert '"text":"mine\\n"' in stream
    [execution] = client.get(f"{execd}/code/executions").json()
    assert client.get(f"/code/executions/{execution['id']}").status_code == 404
    assert client.get(f"{execd}/code/executions/{execution['id']}").status_code == 200
    contexts = client.get(f"{execd}/code/contexts", params={"language": "bash"}).json()
    assert client.get(f"/code/contexts/{contexts[0]['id']}").status_code == 404
    client.delete(generation.url(made))
    gone = client.get(f"{execd}/ping")
    assert (gone.status_code, gone.json()["code"]) == (404, "SANDBOX_NOT_FOUND")


def test_ports_of_a_sandbox(
    generation: Generation, client: httpx.Client, backend: Backend, service: RunningService
) -> None:
    made = generation.create()["id"]
    told = generation.post(made, "/host", port=backend.http).json()
    assert told["url"] == f"http://{told['host']}"
    answer = client.post(f"{told['url']}/echo?x=1", content=b"body", headers={"Authorization": "Bearer theirs"})
    assert answer.status_code == 200
    seen = {name.lower(): value for name, value in answer.json()["headers"]}
    assert seen["x-forwarded-prefix"] == generation.url(made, f"/proxy/{backend.http}")
    assert seen["authorization"] == "Bearer theirs"
    socket = f"ws://{service.authority}{generation.url(made, f'/proxy/{backend.websocket}/')}"
    with connect(socket) as websocket:
        websocket.send("hello")
    assert client.get(generation.url("sb_nobody", f"/proxy/{backend.http}/")).status_code == 404
