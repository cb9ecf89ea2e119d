"""Whatever is sent, the answer is an error in the one shape that errors have, and the service goes on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.reading import SUCCEEDED, body_of, end_of, of_type, run
from tests.running_service import RunningService

PYTHON = {"language": "python"}


@pytest.fixture(autouse=True)
def _the_service_goes_on(service: RunningService) -> Iterator[None]:
    yield
    with service.client() as client:
        assert client.get("/ping").status_code == 200
        assert end_of(run(client, "1")) == SUCCEEDED
    assert "request_broke" not in service.log_file.read_text()


def post(client: httpx.Client, content: bytes | str, path: str = "/code") -> httpx.Response:
    return client.post(path, content=content, headers={"Content-Type": "application/json"})


BODIES: dict[str, bytes | str] = {
    "nothing": "",
    "spaces": "  \n ",
    "broken": '{"code": "1"',
    "not json": "code=1",
    "a list": "[]",
    "a string": '"1"',
    "null": "null",
    "a number": "7",
    "not utf-8": b'{"code": "\xff"}',
    "utf-16": '{"code": "1"}'.encode("utf-16"),
    "no code": '{"context": {"language": "python"}}',
    "empty code": '{"code": "", "context": {"language": "python"}}',
    "code null": '{"code": null, "context": {"language": "python"}}',
    "code number": '{"code": 1, "context": {"language": "python"}}',
    "code list": '{"code": ["1"], "context": {"language": "python"}}',
    "context string": '{"code": "1", "context": "python"}',
    "context list": '{"code": "1", "context": []}',
    "language number": '{"code": "1", "context": {"language": 3}}',
    "id number": '{"code": "1", "context": {"id": 3}}',
    "cwd number": '{"code": "1", "context": {"language": "python", "cwd": 3}}',
    "stdin string": '{"code": "1", "context": {"language": "python"}, "allow_stdin": "yes"}',
    "lone surrogate": r'{"code": "print(\"\ud800\")", "context": {"language": "python"}}',
    "surrogate in cwd": r'{"code": "1", "context": {"language": "python", "cwd": "/tmp/\udfff"}}',
    "NUL in cwd": r'{"code": "1", "context": {"language": "python", "cwd": "/tmp/\u0000"}}',
    "deep lists": "[" * 200_000,
    "deep objects": '{"a":' * 200_000,
    "deep inside": '{"code": "1", "context": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "huge number": '{"code": "1", "context": {"language": "python"}, "timeout": ' + "9" * 10_000 + "}",
    "infinity": '{"code": "1", "context": {"language": "python"}, "timeout": Infinity}',
}


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused(client: httpx.Client, what: str) -> None:
    answer = post(client, BODIES[what])
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
    assert set(answer.json()) == {"code", "message"}
    assert len(answer.json()["message"]) < 500


@pytest.mark.parametrize("what", ["nothing", "broken", "a list", "null", "deep lists"])
@pytest.mark.parametrize("path", ["/code/context", "/code/executions/run_000000000000/input"])
def test_a_bad_body_is_refused_everywhere(client: httpx.Client, path: str, what: str) -> None:
    answer = post(client, BODIES[what], path)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


@pytest.mark.parametrize("junk", [" trailing", "}", '{"code": "2"}', "\0\0"])
def test_what_follows_the_json_value_does_not_matter(client: httpx.Client, junk: str) -> None:
    answer = post(client, json.dumps(body_of("print('run')")) + junk)
    assert answer.status_code == 200
    assert '"status":"succeeded"' in answer.text


def test_unknown_fields_do_not_matter(client: httpx.Client) -> None:
    body = {"code": "1", "context": PYTHON | {"new": 1}, "whatever": {"deep": []}}
    answer = client.post("/code", json=body)
    assert answer.status_code == 200


@pytest.mark.parametrize("field", ["id", "language", "cwd"])
def test_a_field_that_is_null_is_as_good_as_none(client: httpx.Client, field: str) -> None:
    given = client.get("/code/contexts", params=PYTHON).json()[0]["id"]
    context = {"id": given} if field == "language" else dict(PYTHON)
    answer = client.post("/code", json={"code": "1", "context": {**context, field: None}, "timeout": None})
    assert answer.status_code == 200


def test_a_nul_in_the_code_is_an_error_of_the_code(client: httpx.Client) -> None:
    events = run(client, "print(1)\0")
    assert end_of(events) == ("failed", "error")
    assert of_type(events, "error")[0]["error"]["ename"] in ("SyntaxError", "ValueError")


def test_a_body_that_is_too_large_is_refused_at_once(client: httpx.Client) -> None:
    answer = client.post("/code", json=body_of("#" * 50_000_000))
    assert (answer.status_code, answer.json()["code"]) == (413, "INVALID_REQUEST_BODY")


def test_a_body_that_grows_too_large_is_refused(client: httpx.Client) -> None:
    chunks = (b"#" * 65536 for _ in range(300))
    answer = client.post("/code", content=chunks, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "INVALID_REQUEST_BODY")


def test_a_large_body_within_the_bound_runs(client: httpx.Client) -> None:
    assert end_of(run(client, "x = '" + "y" * 8_000_000 + "'")) == SUCCEEDED


FOLDERS = ["/proc/nothing/here", "/dev/null/below", "/" + "x" * 300, "/" + "deep/" * 1000]


@pytest.mark.parametrize("cwd", FOLDERS, ids=["proc", "below a file", "long name", "long path"])
def test_a_folder_that_cannot_be_made_is_refused(client: httpx.Client, cwd: str) -> None:
    answer = client.post("/code/context", json=PYTHON | {"cwd": cwd})
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")
    assert "cwd" in answer.json()["message"]


def test_a_folder_that_vanishes_is_no_fault_of_the_service(client: httpx.Client, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    made = client.post("/code/context", json=PYTHON | {"cwd": str(gone)}).json()
    gone.rmdir()
    run(client, "import os\nos._exit(1)", id=made["id"])
    events = run(client, "1", id=made["id"])
    assert end_of(events)[0] in ("failed", "succeeded")
    client.delete(f"/code/contexts/{made['id']}").raise_for_status()


@pytest.mark.parametrize("path", ["/", "/nothing", "/code/context/x", "/codes", "/ping/x", "//code", "/%00"])
def test_unknown_routes_are_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/code"), ("GET", "/code"), ("POST", "/ping"), ("PATCH", "/code/contexts")]
)
def test_wrong_methods_are_told_the_right_ones(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"]


ODD_IDS = ["%00", "%F0%9F", "%0d%0aX: 1", "..%2F..%2Fetc%2Fpasswd", "a%20b", "'%22", "x" * 5000, "%25", "ctx_%C3%BC"]


@pytest.mark.parametrize("odd", ODD_IDS, ids=range(len(ODD_IDS)))
@pytest.mark.parametrize("kind", ["contexts", "executions"])
def test_odd_ids_are_not_found(client: httpx.Client, kind: str, odd: str) -> None:
    answer = client.get(f"/code/{kind}/{odd}")
    assert answer.status_code == 404
    assert answer.json()["code"] in ("CONTEXT_NOT_FOUND", "EXECUTION_NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize("odd", ODD_IDS, ids=range(len(ODD_IDS)))
def test_odd_ids_cannot_be_interrupted(client: httpx.Client, odd: str) -> None:
    answer = client.delete(f"/code?id={odd}")
    assert (answer.status_code, answer.json()["code"]) == (500, "RUNTIME_ERROR")


def test_interrupting_nothing_says_what_is_missing(client: httpx.Client) -> None:
    answer = client.delete("/code")
    assert (answer.status_code, answer.json()["code"]) == (400, "MISSING_QUERY")


@pytest.mark.parametrize("query", ["status=done", "limit=-1", "limit=many", "limit=" + "9" * 40])
def test_a_query_that_makes_no_sense_is_refused(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/code/executions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


RAW = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "no host": b"GET /code/contexts HTTP/1.1\r\n\r\n",
    "raw bytes in the path": b"GET /code/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an absolute url": b"GET http://evil.example/code/contexts HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "a path of 100 KB": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a broken length": b"POST /code HTTP/1.1\r\nHost: localhost\r\nContent-Length: ten\r\n\r\n",
    "two lengths": b"POST /code HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a body that never comes": b"POST /code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 99\r\n\r\n{",
}


@pytest.mark.parametrize("what", RAW)
def test_what_is_hardly_http_harms_nothing(service: RunningService, what: str) -> None:
    host, port = service.authority.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(RAW[what])
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not answer.startswith(b"HTTP/1.1 2")
    assert not answer.startswith(b"HTTP/1.1 5")
