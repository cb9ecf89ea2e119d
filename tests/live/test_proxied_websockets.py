"""WebSockets of programs in the sandbox, through /proxy/{port}: messages, handshakes, and how they end."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.live.proxying import Backend, running_backend, websocket
from tests.running_service import RunningService

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """One for all tests that leave it alive."""
    with running_backend() as running:
        yield running


def test_websocket_messages_and_handshake(service: RunningService, backend: Backend) -> None:
    headers = {"Cookie": "a=1", "X-EXECD-ACCESS-TOKEN": "ours"}
    with websocket(service, backend, "a;b/c%20d?x=%26", additional_headers=headers) as connection:
        seen = json.loads(connection.recv(30))
        assert seen["path"] == "/a;b/c%20d?x=%26"
        names = {name.lower(): value for name, value in seen["headers"]}
        assert names["cookie"] == "a=1"
        assert "x-execd-access-token" not in names
        assert (names["x-forwarded-proto"], names["x-forwarded-host"]) == ("http", service.authority)
        for message in ("text é", b"binary \x00\xff", "", b"", "x" * 5 * MIB, bytes(5 * MIB)):
            connection.send(message)
            assert connection.recv(30) == message
        connection.ping().wait(30)


def test_websocket_subprotocols(service: RunningService, backend: Backend) -> None:
    offered = [Subprotocol("one"), Subprotocol("two"), Subprotocol("three")]
    with websocket(service, backend, subprotocols=offered) as connection:
        assert connection.subprotocol == "two"
    with websocket(service, backend) as connection:
        assert connection.subprotocol is None


def test_a_websocket_that_the_program_closes(service: RunningService, backend: Backend) -> None:
    with websocket(service, backend) as connection:
        connection.recv(30)
        connection.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(30)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "as you wish")


def test_a_websocket_that_the_program_drops(service: RunningService, backend: Backend) -> None:
    with websocket(service, backend) as connection:
        connection.recv(30)
        connection.send("drop")
        with pytest.raises(ConnectionClosed) as caught:
            connection.recv(30)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1014


def test_a_websocket_that_the_client_closes(service: RunningService, backend: Backend, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    with websocket(service, backend, f"?fifo={tmp_path / 'told'}") as connection:
        connection.close(4002, "enough")
    assert (tmp_path / "told").read_text() == "4002 enough"


def test_a_websocket_whose_client_vanishes(service: RunningService, backend: Backend, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    with websocket(service, backend, f"?fifo={tmp_path / 'told'}") as connection:
        connection.socket.shutdown(socket.SHUT_RDWR)
    assert (tmp_path / "told").read_text() == "1001 "


def test_a_websocket_client_that_is_slow_costs_no_memory(service: RunningService, backend: Backend) -> None:
    memory = psutil.Process(service.process.pid).memory_info
    with websocket(service, backend, max_queue=1) as connection:
        connection.recv(30)
        before = memory().rss
        connection.send("flood")
        for number in range(1000):
            assert connection.recv(30) == bytes([number % 256]) * 65536
            assert memory().rss - before < 32 * MIB


def test_a_websocket_that_the_program_refuses(service: RunningService, backend: Backend) -> None:
    with pytest.raises(InvalidStatus) as caught, websocket(service, backend, "forbidden"):
        pass
    assert (caught.value.response.status_code, bytes(caught.value.response.body)) == (403, b"not you\n")


def test_a_websocket_redirect_is_handed_on_and_not_followed(service: RunningService, backend: Backend) -> None:
    host, _, port = service.authority.partition(":")
    with socket.create_connection((host, int(port)), 30) as raw:
        head = f"GET /proxy/{backend.websocket}/moved HTTP/1.1\r\nHost: {service.authority}\r\nUpgrade: websocket\r\n"
        rest = "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        raw.sendall((head + rest).encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode().lower()
    assert " 302 " in answer.splitlines()[0]
    assert f"location: /proxy/{backend.websocket}/elsewhere\r\n" in answer


def test_bad_websocket_ports(service: RunningService) -> None:
    own = service.authority.rpartition(":")[2]
    for port in ("0", "x", own):
        with pytest.raises(InvalidStatus) as caught, connect(f"ws://{service.authority}/proxy/{port}/"):
            pass
        assert caught.value.response.status_code == 400
