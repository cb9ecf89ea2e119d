"""The way out of a sandbox that has network `proxy`: an HTTP proxy on a socket inside of its network namespace.

There is no other interface in there, so the list of rules cannot be gone around, and nothing of the proxy runs inside.
A connection is for one destination, decided by its first head: what follows goes there and nowhere else. The name is
looked up once, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio.abc import SocketListener, SocketStream

from execd.service.egress_addresses import Resolve, own_addresses
from execd.service.egress_head import END, BadHead, Head, parse_head
from execd.service.egress_policy import Address, Destination, EgressRefused, Policy
from execd.service.egress_relay import abort, relay
from execd.service.narrowing import Narrowing

PORT = 3128
"""The port in the sandbox, always the same: its processes keep using it when the service was restarted."""

_LINGER = 2.0
_LINGER_BYTES = 1024 * 1024
_CROWDED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """What one sandbox may make of its proxy: connections at once, bytes of a head, and seconds."""

    connections: int = 128
    head_bytes: int = 32 * 1024
    head_time: float = 30
    connect_time: float = 30
    idle_time: float = 600


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def egress_environment() -> dict[str, str]:
    """The variables that send programs in the sandbox to the proxy, except on their way to one another."""
    proxy, none = f"http://127.0.0.1:{PORT}", "localhost,127.0.0.1,::1"
    variables = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy, "NO_PROXY": none}
    return variables | {name.lower(): value for name, value in variables.items()}


def listen(inside: socket.socket) -> None:
    """Make a fresh TCP socket of the sandbox's network namespace the proxy's. Raises OSError."""
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    inside.bind(("127.0.0.1", PORT))
    inside.listen(128)
    inside.setblocking(False)


class Egress:
    """The proxy of one sandbox."""

    def __init__(
        self,
        policy: Policy,
        resolve: Resolve,
        own: Callable[[], Iterable[Address]] = own_addresses,
        limits: EgressLimits | None = None,
    ) -> None:
        self.policy = policy
        """What it holds to; it may be exchanged, and then holds for the connections to come."""
        self._resolve = resolve
        self._own = own
        self._limits = limits or EgressLimits()
        self._narrowing: Narrowing | None = None
        self._scopes: set[anyio.CancelScope] = set()
        self.connections = 0
        """How many there are at the moment."""

    def narrow(self, narrowing: Narrowing | None) -> None:
        """Let the sandbox's own rules hold, from now on; connections from before end."""
        self._narrowing = narrowing
        for scope in self._scopes:
            scope.cancel()

    async def serve(self, listening: socket.socket) -> None:
        """Serve until cancelled, which closes the socket and every connection."""
        listener = await SocketListener.from_socket(listening)
        async with listener, anyio.create_task_group() as group:
            while True:
                try:
                    group.start_soon(self._serve_one, await listener.accept())
                except OSError as error:
                    if error.errno in _CROWDED:
                        await anyio.sleep(0.1)  # the descriptors that are missing are freed by time alone

    async def _serve_one(self, client: SocketStream) -> None:
        self.connections += 1
        scope = anyio.CancelScope()
        self._scopes.add(scope)
        try:
            async with client:
                if self.connections <= 2 * self._limits.connections:  # even being told of the limit has one
                    with scope:
                        await self._answer(client)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client has gone
        finally:
            self._scopes.discard(scope)
            self.connections -= 1

    async def _answer(self, client: SocketStream) -> None:
        try:
            if self.connections > self._limits.connections:
                raise _Refusal(503, f"this sandbox has {self._limits.connections} connections to its proxy already")
            head, rest = await self._read_head(client)
            async with self._connected(head.destination) as upstream:
                await self._join(client, upstream, head, rest)
        except _Refusal as refusal:
            await _refuse(client, refusal)
        except anyio.EndOfStream:
            pass  # before there was a whole head

    async def _read_head(self, client: SocketStream) -> tuple[Head, bytes]:
        """The head, and what came behind it. Raises _Refusal, and EndOfStream when the client hangs up before."""
        buffer = b""
        with anyio.move_on_after(self._limits.head_time):
            while END not in buffer:
                if len(buffer) > self._limits.head_bytes:
                    raise _Refusal(431, f"the head is larger than {self._limits.head_bytes} bytes")
                buffer += await client.receive(self._limits.head_bytes)
            head, _, rest = buffer.partition(END)
            try:
                return parse_head(head), rest
            except BadHead as error:
                raise _Refusal(400, str(error)) from error
        raise _Refusal(408, f"there was no whole head within {self._limits.head_time:g} seconds")

    @asynccontextmanager
    async def _connected(self, wanted: Destination) -> AsyncIterator[SocketStream]:
        """A connection to where the policy lets it go. Raises _Refusal, before the block."""
        upstream = None
        with anyio.move_on_after(self._limits.connect_time):
            upstream = await self._connect(wanted)
        if upstream is None:
            raise _Refusal(504, f"{wanted} did not answer within {self._limits.connect_time:g} seconds")
        async with upstream:
            yield upstream

    async def _connect(self, wanted: Destination) -> SocketStream:
        try:
            error: OSError = OSError(f"{wanted.host} has no address")
            for address in await self._addresses(wanted):
                try:
                    return await anyio.connect_tcp(str(address), wanted.port)
                except OSError as failed:
                    error = failed
            raise error
        except EgressRefused as refused:
            raise _Refusal(403, str(refused)) from refused
        except OSError as failed:
            raise _Refusal(502, f"{wanted} cannot be reached: {_why(failed)}") from failed

    async def _addresses(self, wanted: Destination) -> list[Address]:
        """The addresses that may be tried. Raises EgressRefused when there is none among those that were found."""
        narrowing = self._narrowing or Narrowing(allows_rest=True)
        self.policy.check(wanted)
        narrowing.check(wanted)
        found = await self._resolve(wanted.host) if isinstance(wanted.host, str) else [wanted.host]
        own, allowed, refused = set(self._own()), [], None
        for address in found:
            try:
                self.policy.check_address(wanted, address, own)
                narrowing.check_address(wanted, address)
                allowed.append(address)
            except EgressRefused as error:
                refused = error
        if refused and not allowed:
            raise refused
        return allowed

    async def _join(self, client: SocketStream, upstream: SocketStream, head: Head, rest: bytes) -> None:
        if head.tunnel:
            await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await relay(client, upstream, head.forwarded + rest, self._limits.idle_time)
        except (anyio.BrokenResourceError, TimeoutError):
            # Neither may take what it got for all there was.
            abort(client)
            abort(upstream)


def _why(error: OSError) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    return os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror or str(cause)


async def _refuse(client: SocketStream, refusal: _Refusal) -> None:
    """Answer with the sentence, also as the reason: of a CONNECT that failed many programs show that alone."""
    sentence = "".join(c if " " <= c <= "~" else "?" for c in str(refusal))
    body = f"{sentence}\n"
    head = f"HTTP/1.1 {refusal.status} {sentence}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    with anyio.move_on_after(_LINGER):
        await client.send(f"{head}Connection: close\r\n\r\n{body}".encode())
        await client.send_eof()
        await _drain(client)


async def _drain(client: SocketStream) -> None:
    """Read what the client still sends: closing before would take the answer away from it."""
    left = _LINGER_BYTES
    with suppress(anyio.EndOfStream):
        while left > 0:
            left -= len(await client.receive())
