"""The proxy with real sockets: tunnels, requests, refusals, peers that are slow, silent or gone."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from execd.service.egress import Egress, EgressLimits
from execd.service.egress_policy import Address, Policy
from execd.service.egress_relay import abort

Handler = Callable[[SocketStream], Awaitable[None]]
MIB = 1024 * 1024


@dataclass
class Names:
    """A resolver that knows what it is told, and remembers what it was asked."""

    known: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, name: str) -> list[Address]:
        self.asked.append(name)
        if name == "silent.example":
            await anyio.sleep_forever()
        if name not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [ip_address(address) for address in self.known[name]]


@asynccontextmanager
async def origin(handler: Handler) -> AsyncIterator[int]:
    """A server on the loopback interface of this machine; gives its port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:

        async def handle(stream: SocketStream) -> None:
            async with stream:
                await handler(stream)

        group.start_soon(listener.serve, handle)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


@dataclass
class Proxied:
    """A proxy that runs, and connections to it."""

    egress: Egress
    names: Names
    port: int

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", self.port)

    async def ask(self, request: bytes) -> bytes:
        """All that a client gets that sends this, ends its side and reads to the end."""
        async with await self.connect() as client:
            await client.send(request)
            await client.send_eof()
            return await everything(client)

    async def tunnel(self, port: int, host: str = "origin.example") -> SocketStream:
        client = await self.connect()
        await client.send(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        assert await client.receive() == b"HTTP/1.1 200 Connection established\r\n\r\n"
        return client

    async def idle(self) -> None:
        """Return once no connection is left."""
        with anyio.fail_after(10):
            while self.egress.connections:  # noqa: ASYNC110 - a number that nobody announces
                await anyio.sleep(0.01)


@asynccontextmanager
async def proxy(*rules: str, limits: EgressLimits | None = None, own_port: int = 1) -> AsyncIterator[Proxied]:
    """The proxy on this machine's loopback, with rules; origin.example and evil.example are this machine."""
    names = Names({"origin.example": ["127.0.0.1"], "evil.example": ["127.0.0.1"], "imds.example": ["169.254.169.254"]})
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    egress = Egress(Policy.parse(rules, own_port), names, limits=limits)
    async with anyio.create_task_group() as group:
        group.start_soon(egress.serve, listening)
        yield Proxied(egress, names, listening.getsockname()[1])
        group.cancel_scope.cancel()


async def everything(stream: SocketStream) -> bytes:
    """What comes until the end."""
    return b"".join([chunk async for chunk in stream])


def status(answer: bytes) -> tuple[int, str]:
    """The status of an answer and its reason, which is also its body."""
    head, _, body = answer.decode().partition("\r\n\r\n")
    code, _, reason = head.splitlines()[0].removeprefix("HTTP/1.1 ").partition(" ")
    assert body == f"{reason}\n"
    return int(code), reason


def descriptors() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def shout(stream: SocketStream) -> None:
    """Answer, once the other side has ended, all that it has sent in capitals."""
    await stream.send((await everything(stream)).upper())


async def hello(stream: SocketStream) -> None:
    """Answer a head of HTTP with the head itself, and close."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    await stream.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + head)


async def test_a_tunnel_carries_both_directions_and_each_may_end_alone() -> None:
    async with origin(shout) as port, proxy(f"origin.example:{port}", f"127.0.0.1:{port}") as proxied:
        async with await proxied.tunnel(port) as client:
            await client.send(b"tea")
            await client.send(b" time")
            await client.send_eof()
            assert await everything(client) == b"TEA TIME"
        await proxied.idle()


async def test_what_comes_with_the_head_is_not_lost() -> None:
    async with origin(shout) as port, proxy(f"127.0.0.1:{port}") as proxied:
        answer = await proxied.ask(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nearly".encode())
        assert answer.endswith(b"\r\n\r\nEARLY")


async def test_a_request_reaches_its_destination_as_from_a_client_without_a_proxy() -> None:
    async with origin(hello) as port, proxy(f"origin.example:{port}", f"127.0.0.1:{port}") as proxied:
        answer = await proxied.ask(f"GET http://origin.example:{port}/a?b HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = f"GET /a?b HTTP/1.1\r\nHost: origin.example:{port}\r\nConnection: close\r\n\r\n"
        assert answer.decode().endswith(head)


async def test_what_follows_the_first_head_goes_to_the_same_destination_only() -> None:
    heard = []

    async def hear(stream: SocketStream) -> None:
        heard.append(await everything(stream))

    async with origin(hear) as port, origin(hear) as other:
        rules = [f"origin.example:{port}", f"evil.example:{other}", f"127.0.0.1:{port}", f"127.0.0.1:{other}"]
        second = f"GET http://evil.example:{other}/ HTTP/1.1\r\n\r\nCONNECT evil.example:{other} HTTP/1.1\r\n\r\n"
        async with proxy(*rules) as proxied:
            await proxied.ask(f"GET http://origin.example:{port}/ HTTP/1.1\r\n\r\n{second}".encode())
        assert proxied.names.asked == ["origin.example"]
        assert len(heard) == 1
        assert heard[0].endswith(second.encode())


async def test_a_name_is_looked_up_once_and_its_address_is_what_is_connected_to() -> None:
    async with origin(hello) as port, proxy("origin.example:" + str(port), f"127.0.0.1:{port}") as proxied:
        proxied.names.known["origin.example"] = ["192.168.3.4", "127.0.0.1"]  # the first may not be used
        answer = await proxied.ask(f"GET http://origin.example:{port}/ HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200")
        assert proxied.names.asked == ["origin.example"]


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("unlisted.example:443", 403, ["unlisted.example:443 is not among", "EXECD_EGRESS_ALLOW"]),
        ("origin.example:443", 403, ["leads to 127.0.0.1, which is not public but loopback", "EXECD_EGRESS_ALLOW"]),
        ("imds.example:80", 403, ["169.254.169.254", "link-local"]),
        ("169.254.169.254:80", 403, ["169.254.169.254:80 is not among"]),
        ("127.0.0.1:44772", 403, ["the service itself"]),
        ("[::ffff:127.0.0.1]:443", 403, ["not among"]),
        ("nowhere.example:443", 502, ["nowhere.example:443 cannot be reached", "not known"]),
        ("127.0.0.1:9", 502, ["127.0.0.1:9 cannot be reached", "refused"]),
        ("silent.example:443", 504, ["did not answer within 0.2 seconds"]),
        ("127.1:443", 400, ["four decimal numbers"]),
    ],
)
async def test_refusals_say_which_host_and_what_allows_it(target: str, code: int, words: list[str]) -> None:
    names = ["origin.example", "imds.example", "nowhere.example", "silent.example", "127.0.0.1:44772", "127.0.0.1:9"]
    async with proxy(*names, own_port=44772, limits=EgressLimits(connect_time=0.2)) as proxied:
        got, reason = status(await proxied.ask(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()))
        assert got == code
        assert all(word in reason for word in words), reason
        assert "unlisted.example" not in proxied.names.asked


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00" * 10 + b"\r\n\r\n", 400),
        (b"\x05\x01\x00\r\n\r\n", 400),
        (b"GET http://a.example/ HTTP/1.1\r\nX: " + b"x" * 5000, 431),
        (b"\r\n" * 4000, 400),
    ],
)
async def test_what_is_no_request_is_told_so(request_: bytes, code: int) -> None:
    async with proxy("a.example", limits=EgressLimits(head_bytes=4096)) as proxied:
        assert status(await proxied.ask(request_))[0] == code
        await proxied.idle()


async def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    async with proxy() as proxied, await proxied.connect() as client:
        await client.send(b"POST http://a.example/ HTTP/1.1\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000)
        assert status(await everything(client))[0] == 403


async def test_a_head_that_does_not_end_is_given_up() -> None:
    async with proxy(limits=EgressLimits(head_time=0.1)) as proxied, await proxied.connect() as client:
        await client.send(b"CONNECT a.exam")
        assert status(await everything(client))[0] == 408


async def test_one_connection_too_many_is_told_so() -> None:
    async with proxy(limits=EgressLimits(connections=1)) as proxied:
        async with await proxied.connect() as first:
            await first.send(b"CONNECT")
            assert status(await proxied.ask(b""))[0] == 503
        await proxied.idle()


async def test_far_too_many_connections_are_not_even_told() -> None:
    async with proxy(limits=EgressLimits(connections=1)) as proxied:
        async with await proxied.connect(), await proxied.connect(), await proxied.connect() as third:
            assert await everything(third) == b""
        await proxied.idle()


async def test_a_slow_reader_holds_its_sender_up() -> None:
    size, sent = 64 * MIB, 0

    async def pour(stream: SocketStream) -> None:
        nonlocal sent
        while sent < size:
            await stream.send(b"x" * MIB)
            sent += MIB

    async with (
        origin(pour) as port,
        proxy(f"127.0.0.1:{port}") as proxied,
        await proxied.tunnel(port, "127.0.0.1") as client,
    ):
        before = -1
        while sent != before:  # until it stands still
            before = sent
            await anyio.sleep(0.3)
        assert sent < size / 2
        assert len(await everything(client)) == size


async def test_when_the_destination_resets_the_client_sees_it() -> None:
    async def reset(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"half of it")
        abort(stream)

    async with origin(reset) as port, proxy(f"127.0.0.1:{port}") as proxied:
        async with await proxied.tunnel(port, "127.0.0.1") as client:
            await client.send(b"x")
            with pytest.raises(anyio.BrokenResourceError):
                await everything(client)
        await proxied.idle()


async def test_when_the_client_vanishes_the_destination_sees_it() -> None:
    ended = anyio.Event()

    async def wait(stream: SocketStream) -> None:
        with pytest.raises(anyio.BrokenResourceError):
            await everything(stream)
        ended.set()

    async with origin(wait) as port, proxy(f"127.0.0.1:{port}") as proxied:
        client = await proxied.tunnel(port, "127.0.0.1")
        await client.send(b"x")
        abort(client)
        await client.aclose()
        with anyio.fail_after(10):
            await ended.wait()
        await proxied.idle()


async def test_a_connection_on_which_nothing_moves_is_ended() -> None:
    async def wait(stream: SocketStream) -> None:
        with pytest.raises(anyio.BrokenResourceError):
            await stream.receive()

    async with (
        origin(wait) as port,
        proxy(f"127.0.0.1:{port}", limits=EgressLimits(idle_time=0.1)) as proxied,
        await proxied.tunnel(port, "127.0.0.1") as client,
    ):
        with anyio.fail_after(10), pytest.raises(anyio.BrokenResourceError):
            await client.receive()


async def test_no_descriptor_and_no_connection_is_left() -> None:
    async with origin(hello) as port, proxy(f"127.0.0.1:{port}") as proxied:
        before = descriptors()
        request = f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode()

        async def ask(number: int) -> None:
            await proxied.ask((request, b"nonsense\r\n\r\n", b"", request[:9])[number % 4])

        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(ask, number)
        await proxied.idle()
        await anyio.sleep(0.1)
        assert descriptors() <= before
