"""What the APIs have in common, each in its own form: the token, the bounds, what is not there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.running_service import RunningService, running_service

TOKEN = "only for those who know it"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that wants a token, and has room for two sandboxes."""
    folder = tmp_path_factory.mktemp("guarded")
    images = {"python:*": "data"}
    with running_service(folder, access_token=TOKEN, max_sandboxes=2, sandbox_images=images) as service:
        yield service


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/opensandbox/v1/sandboxes", {"code": "MISSING_API_KEY"}),
        ("/v1/sandboxes", {"code": "unauthorized"}),
        ("/v1/machines/mch_1/exec", {"code": "unauthorized"}),
        ("/v1/sandboxes/sb_1/proxy/44772/ping", {"error": "Unauthorized: invalid or missing header"}),
        ("/code/contexts", {"error": "Unauthorized: invalid or missing header"}),
        ("/v1/capabilities", {"error": "Unauthorized: invalid or missing header"}),
    ],
)
def test_each_api_asks_for_the_token_in_its_own_form(guarded: RunningService, path: str, body: dict[str, str]) -> None:
    with guarded.client() as client:
        answer = client.get(path)
        assert answer.status_code == 401
        for name, said in body.items():
            assert answer.json()[name].startswith(said)
        keys = {"X-EXECD-ACCESS-TOKEN": TOKEN, "OPEN-SANDBOX-API-KEY": TOKEN, "Authorization": f"Bearer {TOKEN}"}
        for header in keys.items():
            assert client.get(path, headers=[header]).status_code != 401


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/opensandbox/v1/nothing", "NOT_FOUND"),
        ("/v1/sandboxes/sb_1/nothing", "not_found"),
        ("/nothing", "NOT_FOUND"),
    ],
)
def test_each_api_says_in_its_own_form_that_there_is_nothing(client: httpx.Client, path: str, code: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


def test_links_need_no_token_and_are_good_for_one_thing(guarded: RunningService) -> None:
    with guarded.client(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        one = f"/v1/sandboxes/{client.post('/v1/sandboxes', json={'template': 'python:3'}).json()['id']}"
        link = client.post(f"{one}/files/upload-url", json={"path": "f"}).json()
        assert link["url"].endswith(link["token"])
        assert httpx.put(link["url"], content=b"x").status_code == 204
        assert httpx.get(link["url"]).status_code == 404
        assert httpx.put(f"{link['url']}x", content=b"x").status_code == 404
        client.delete(one)
        assert httpx.put(link["url"], content=b"x").status_code == 404


def test_bounds_and_images(guarded: RunningService) -> None:
    with guarded.client(headers={"OPEN-SANDBOX-API-KEY": TOKEN}) as client:
        wrong = client.post("/opensandbox/v1/sandboxes", json={"image": {"uri": "node"}})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "INVALID_REQUEST")
        asked = {"image": {"uri": "python:3"}}
        made = [client.post("/opensandbox/v1/sandboxes", json=asked).json()["id"] for _ in range(2)]
        full = client.post("/opensandbox/v1/sandboxes", json=asked)
        assert (full.status_code, full.json()["code"]) == (429, "LIMIT_REACHED")
        full = client.post("/v1/sandboxes", json={"template": "python:3"})
        assert (full.status_code, full.json()["code"]) == (503, "capacity_exceeded")
        endpoint = client.get(f"/opensandbox/v1/sandboxes/{made[0]}/endpoints/44772").json()
        assert endpoint["headers"] == {"X-EXECD-ACCESS-TOKEN": TOKEN}
        for sandbox_id in made:
            client.delete(f"/opensandbox/v1/sandboxes/{sandbox_id}")
