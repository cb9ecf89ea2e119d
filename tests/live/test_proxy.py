"""Programs in the sandbox, reached through /proxy/{port}: HTTP as it is, both ways at once."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.live.proxying import Backend, running_backend, websocket
from tests.running_service import RunningService, running_service

MIB = 1024 * 1024
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """One for all tests that leave it alive."""
    with running_backend() as running:
        yield running


@pytest.fixture
def web(service: RunningService, backend: Backend) -> Iterator[httpx.Client]:
    """A client whose paths are the program's."""
    with service.client() as client:
        client.base_url = httpx.URL(f"{service.url}/proxy/{backend.http}/")
        yield client


def echoed(answer: httpx.Response) -> dict[str, Any]:
    """What the program saw."""
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    found["headers"] = {name.lower(): value for name, value in found["headers"]}
    return found


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_with_a_body(web: httpx.Client, method: str) -> None:
    seen = echoed(web.request(method, "a/b?x=1&y=%20", content=b"hello \xff"))
    assert (seen["method"], seen["target"], seen["body"]) == (method, "/a/b?x=1&y=%20", "hello \xff")
    assert seen["headers"]["content-length"] == "7"
    assert "transfer-encoding" not in seen["headers"]


def test_a_body_of_unknown_length(web: httpx.Client) -> None:
    seen = echoed(web.post("", content=iter([b"one ", b"two"])))
    assert (seen["target"], seen["body"], seen["headers"]["transfer-encoding"]) == ("/", "one two", "chunked")


def test_head_and_no_body(web: httpx.Client) -> None:
    answer = web.head("x")
    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (200, b"", "1")
    assert "content-type" not in echoed(web.get("x"))["headers"]


@pytest.mark.parametrize(
    "path", ["a%2Fb", "a%20b/%C3%A9", "a;b=c", "a//b", "%2e%2e/x", "x?", "x?a=%26&b=+&c", "~@:!$&'()*"]
)
def test_a_path_arrives_as_it_was_written(service: RunningService, backend: Backend, path: str) -> None:
    host, _, port = service.authority.partition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        head = f"GET /proxy/{backend.http}/{path} HTTP/1.1\r\nHost: {service.authority}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["target"] == f"/{path}".removesuffix("?")


def test_headers_on_the_way_in(web: httpx.Client, backend: Backend, service: RunningService) -> None:
    given = {
        "Cookie": "a=1; b=2",
        "Authorization": "Bearer program's own",
        "User-Agent": "me",
        "X-Once": "1",
        "Connection": "keep-alive, X-Once",
        "TE": "trailers",
        "X-Forwarded-For": "198.51.100.1",
        "Origin": service.url,
    }
    seen = echoed(web.get("x", headers=given))["headers"]
    assert seen["host"] == f"127.0.0.1:{backend.http}"
    assert seen["cookie"] == given["Cookie"]
    assert seen["authorization"] == given["Authorization"]
    assert seen["user-agent"] == "me"
    assert seen["origin"] == f"http://127.0.0.1:{backend.http}"
    assert seen["x-forwarded-for"] == "198.51.100.1"
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("http", service.authority)
    assert seen["x-forwarded-prefix"] == f"/proxy/{backend.http}"
    assert {"x-once", "te"} & set(seen) == set()


def test_headers_on_the_way_out(web: httpx.Client) -> None:
    answer = web.get("x")
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]
    assert answer.headers["content-type"] == "application/json"
    assert "keep-alive" not in answer.headers
    assert len(answer.headers.get_list("date")) == 1
    assert len(answer.headers.get_list("x-request-id")) == 1


def test_an_encoded_answer_stays_encoded(web: httpx.Client) -> None:
    with web.stream("GET", "packed") as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert b"".join(answer.iter_raw()) == b"\x1f\x8bnot really"


def test_redirects_stay_below_the_prefix(web: httpx.Client, backend: Backend) -> None:
    prefix = f"/proxy/{backend.http}"
    for given, expected in (
        ("/login?a=1", f"{prefix}/login?a=1"),
        (f"http://127.0.0.1:{backend.http}/x", f"{prefix}/x"),
        ("there", "there"),
        ("https://elsewhere.test/", "https://elsewhere.test/"),
    ):
        answer = web.get(f"move?to={given}")
        assert (answer.status_code, answer.headers["location"]) == (302, expected)
    outer = web.get("move?to=/login", headers={"X-Forwarded-Prefix": "/outside/"})
    assert outer.headers["location"] == f"/outside{prefix}/login"


def test_a_port_without_a_slash_leads_to_the_one_with_it(service: RunningService, backend: Backend) -> None:
    with service.client(follow_redirects=True) as client:
        answer = client.post(f"/proxy/{backend.http}?x=1", content=b"body")
        assert (echoed(answer)["target"], echoed(answer)["body"]) == ("/?x=1", "body")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "8080x", "99999999999", "٣"])
def test_bad_ports(client: httpx.Client, port: str) -> None:
    answer = client.get(f"/proxy/{port}/x")
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert "bad port" in answer.text


def test_our_own_port_is_refused(client: httpx.Client, service: RunningService) -> None:
    port = service.authority.rpartition(":")[2]
    for spelled in (port, f"0{port}"):
        assert client.get(f"/proxy/{spelled}/ping").status_code == 400


def test_a_slash_that_is_written_otherwise_is_no_slash(service: RunningService, backend: Backend) -> None:
    with service.client() as client:
        assert client.get(f"/proxy/{backend.http}%2Fx").status_code in (307, 400)
        assert client.get(f"/proxy/{backend.http}%2Fx/").status_code == 400


def test_nobody_listens(client: httpx.Client, service: RunningService, unused_port: int) -> None:
    answer = client.get(f"/proxy/{unused_port}/x")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/plain; charset=utf-8")
    assert "connection refused" in answer.text
    assert client.post(f"/proxy/{unused_port}/x", content=iter([b"x" * MIB] * 4)).status_code == 502
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://{service.authority}/proxy/{unused_port}/x"):
        pass
    assert caught.value.response.status_code == 502


@pytest.mark.parametrize("path", ["nothing", "garbage"])
def test_a_program_that_gives_no_answer(web: httpx.Client, path: str) -> None:
    assert web.get(path).status_code == 502


def test_events_pass_at_once(web: httpx.Client, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with web.stream("GET", f"events?fifo={tmp_path / 'go'}") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"data: first\n\n"
        (tmp_path / "go").write_text("")
        assert b"".join(chunks) == b"data: second\n\n"


def test_a_client_that_hangs_up_hangs_the_program_up(web: httpx.Client, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    with web.stream("GET", f"until-gone?fifo={tmp_path / 'told'}") as answer:
        assert next(answer.iter_raw()) == b"waiting"
    assert (tmp_path / "told").read_text() == "gone"


def test_a_large_upload_and_a_large_download_leave_the_service_small(
    web: httpx.Client, service: RunningService
) -> None:
    memory = psutil.Process(service.process.pid).memory_info
    web.post("upload", content=iter([b"warm" * MIB]))
    before = memory().rss
    digest = hashlib.sha256()
    peak = 0

    def body() -> Iterator[bytes]:
        nonlocal peak
        for number in range(100):
            piece = bytes([number]) * MIB
            digest.update(piece)
            peak = max(peak, memory().rss)
            yield piece

    assert web.post("upload", content=body()).text == f"{100 * MIB} {digest.hexdigest()}"
    back = hashlib.sha256()
    with web.stream("GET", "download?mib=100") as answer:
        assert answer.headers["content-length"] == str(100 * MIB)
        for piece in answer.iter_raw():
            back.update(piece)
            peak = max(peak, memory().rss)
    assert back.digest() == digest.digest()
    assert peak - before < 32 * MIB


def test_both_directions_at_once(service: RunningService, backend: Backend) -> None:
    """Neither side waits for the other's end: what comes back is read while the body is still being sent."""
    host, _, port = service.authority.partition(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        head = f"POST /proxy/{backend.http}/mirror HTTP/1.1\r\nHost: {service.authority}\r\n"
        connection.sendall(f"{head}Content-Length: {100 * MIB}\r\n\r\n".encode())
        reader = connection.makefile("rb")
        connection.sendall(bytes(MIB))
        assert b"200" in reader.readline()
        while reader.readline().strip():
            pass
        sent, received = MIB, 0
        while received < 100 * MIB:
            size = int(reader.readline(), 16)
            received += len(reader.read(size))
            reader.readline()
            if sent - received < MIB and sent < 100 * MIB:
                connection.sendall(bytes(MIB))
                sent += MIB
        assert reader.readline() == b"0\r\n"
        reader.close()


def test_an_answer_before_the_body_has_come(web: httpx.Client) -> None:
    answer = web.post("early", content=b"x" * 1000)
    assert (answer.status_code, answer.text) == (413, "too much")


@pytest.mark.parametrize("path", ["die", "hang-up"])
def test_half_an_answer_does_not_pass_for_a_whole_one(client: httpx.Client, path: str) -> None:
    with running_backend() as mortal:
        with client.stream("GET", f"/proxy/{mortal.http}/{path}") as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
        mortal.process.kill()
        mortal.process.wait()
        assert client.get(f"/proxy/{mortal.http}/x").status_code == 502


def test_web_pages_are_refused(web: httpx.Client, service: RunningService, backend: Backend) -> None:
    assert web.get("x", headers={"Origin": "https://elsewhere.test"}).status_code == 403
    assert web.get("x", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert web.get("x", headers={"Host": "elsewhere.test"}).status_code == 403
    with pytest.raises(InvalidStatus) as caught, websocket(service, backend, origin="https://elsewhere.test"):
        pass
    assert caught.value.response.status_code == 403


def test_a_token_is_wanted_and_not_passed_on(tmp_path: Path, backend: Backend) -> None:
    token = {"X-EXECD-ACCESS-TOKEN": "sesame"}
    with running_service(tmp_path, access_token="sesame") as guarded, guarded.client() as client:
        assert client.get(f"/proxy/{backend.http}/x").status_code == 401
        for given in (token, {"Authorization": "Bearer sesame"}, {"X-API-Key": "sesame"}):
            seen = echoed(client.get(f"/proxy/{backend.http}/x", headers=given))
            assert "sesame" not in json.dumps(seen)
        seen = echoed(client.get(f"/proxy/{backend.http}/x", headers={**token, "X-API-Key": "its own"}))
        assert "its own" in json.dumps(seen)
        with pytest.raises(InvalidStatus) as caught, websocket(guarded, backend):
            pass
        assert caught.value.response.status_code == 401
        with websocket(guarded, backend, additional_headers=token) as connection:
            assert "sesame" not in str(connection.recv(30))


def test_open_proxied_connections_do_not_hold_the_service_up(tmp_path: Path, backend: Backend) -> None:
    os.mkfifo(tmp_path / "go")
    with (
        running_service(tmp_path, shutdown_grace=1) as service,
        websocket(service, backend) as connection,
        service.client() as client,
        client.stream("GET", f"/proxy/{backend.http}/events?fifo={tmp_path / 'go'}") as answer,
    ):
        connection.recv(30)
        assert next(answer.iter_raw()) == b"data: first\n\n"
        service.stop()
        with pytest.raises(ConnectionClosed):
            connection.recv(30)
