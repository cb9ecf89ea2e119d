"""Who may call: tokens, hosts, origins, and what a page in a browser could try."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.live.reading import SUCCEEDED, body_of, end_of, run, text_of
from tests.running_service import RunningService, running_service

TOKEN = "a token with 32 characters in it"
HEADER = "X-EXECD-ACCESS-TOKEN"
APP = "https://app.example"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a token, and an origin that may call."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_service(folder, access_token=TOKEN, allowed_origins=[APP]) as service:
        yield service


@pytest.fixture(scope="module")
def inviting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service without a token that lets one more origin and one more host in."""
    folder = tmp_path_factory.mktemp("inviting")
    with running_service(folder, allowed_origins=[APP], allowed_hosts=["box.example"]) as service:
        yield service


_addresses = (f"127.0.0.{number}" for number in range(2, 250))


@pytest.fixture
def elsewhere() -> httpx.HTTPTransport:
    """An address of its own: wrong keys are counted by where they come from."""
    return httpx.HTTPTransport(local_address=next(_addresses))


@pytest.mark.parametrize("headers", [{}, {HEADER: "wrong"}, {HEADER: ""}, {HEADER: TOKEN + "x"}, {HEADER: "tökén"}])
@pytest.mark.parametrize(("method", "path"), [("POST", "/code"), ("GET", "/code/contexts"), ("GET", "/nothing")])
def test_without_the_token_nothing_is_served(
    guarded: RunningService, elsewhere: httpx.HTTPTransport, method: str, path: str, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    with guarded.client(transport=elsewhere) as client:
        answer = client.request(method, path, headers=raw)
    assert answer.status_code == 401
    assert answer.json() == {"error": f"Unauthorized: invalid or missing header {HEADER}"}
    assert answer.headers["x-request-id"]


def test_three_wrong_keys_from_one_address_are_enough(guarded: RunningService, elsewhere: httpx.HTTPTransport) -> None:
    with guarded.client(transport=elsewhere) as client, guarded.client(headers={HEADER: TOKEN}) as other:
        statuses = [client.get("/code/contexts", headers={HEADER: f"wrong {n}"}).status_code for n in range(4)]
        refused = client.get("/v1/sandboxes", headers={"Authorization": "Bearer wrong"})
        assert statuses == [401, 401, 429, 429]
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limit_exceeded")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert client.get("/code/contexts", headers={HEADER: TOKEN}).status_code == 200
        assert other.get("/code/contexts").status_code == 200


def test_ping_wants_no_token(guarded: RunningService) -> None:
    with guarded.client() as client:
        answer = client.get("/ping")
    assert (answer.status_code, answer.content) == (200, b"")


def test_with_the_token_code_runs(guarded: RunningService) -> None:
    with guarded.client(headers={HEADER: TOKEN}) as client:
        assert end_of(run(client, "1")) == SUCCEEDED


def test_user_code_does_not_see_the_token(guarded: RunningService) -> None:
    with guarded.client(headers={HEADER: TOKEN}) as client:
        seen = text_of(run(client, "import os\nprint(dict(os.environ), open('/proc/self/environ').read())"))
    assert "PATH" in seen
    assert "EXECD_ACCESS_TOKEN" not in seen
    assert TOKEN not in seen


def test_the_token_is_not_logged(guarded: RunningService) -> None:
    with guarded.client(headers={HEADER: TOKEN}) as client:
        client.get("/code/contexts").raise_for_status()
    assert TOKEN not in guarded.log_file.read_text()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:44772", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_foreign_host_is_refused(client: httpx.Client, host: str) -> None:
    answer = client.post("/code", json=body_of("1"), headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("host", ["localhost", "localhost:44772", "127.0.0.1", "[::1]:44772", "LOCALHOST"])
def test_every_name_of_this_machine_is_served(client: httpx.Client, host: str) -> None:
    assert client.get("/ping", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "file://"])
def test_a_page_of_a_foreign_origin_is_refused(client: httpx.Client, origin: str) -> None:
    answer = client.post("/code", json=body_of("1"), headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert "access-control-allow-origin" not in answer.headers


def test_an_image_or_script_on_a_foreign_page_is_refused(client: httpx.Client) -> None:
    answer = client.get("/code/contexts", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"})
    assert answer.status_code == 403


def test_a_page_of_our_own_may_call(service: RunningService, client: httpx.Client) -> None:
    assert client.get("/code/contexts", headers={"Origin": service.url}).status_code == 200


def test_an_invited_origin_gets_cors_headers(inviting: RunningService) -> None:
    with inviting.client(headers={"Origin": APP}) as client:
        answer = client.get("/code/contexts")
        with client.stream("POST", "/code", json=body_of("1")) as stream:
            stream.read()
    for headers in (answer.headers, stream.headers):
        assert headers["access-control-allow-origin"] == APP
    assert "EXECD-EXECUTION-ID" in stream.headers["access-control-expose-headers"]


@pytest.mark.parametrize("which", ["guarded", "inviting"])
def test_an_invited_origin_may_ask_first(which: str, request: pytest.FixtureRequest) -> None:
    service: RunningService = request.getfixturevalue(which)
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": f"content-type,{HEADER.lower()},last-event-id",
    }
    with service.client() as client:
        answer = client.options("/code", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert HEADER.lower() in answer.headers["access-control-allow-headers"].lower()


def test_an_origin_that_was_not_invited_may_not_ask(inviting: RunningService) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    with inviting.client() as client:
        preflight = client.options("/code", headers=asked)
        answer = client.get("/code/contexts", headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 400
    assert answer.status_code == 403
    for headers in (preflight.headers, answer.headers):
        assert "access-control-allow-origin" not in headers


def test_an_invited_host_is_served(inviting: RunningService) -> None:
    with inviting.client() as client:
        assert client.get("/ping", headers={"Host": "box.example:8080"}).status_code == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_that_a_form_could_send_is_refused(client: httpx.Client, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post("/code", content=json.dumps(body_of("1")), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/x+json"])
def test_every_way_to_say_json_is_understood(client: httpx.Client, content_type: str) -> None:
    answer = client.post("/code/context", content=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code == 400
