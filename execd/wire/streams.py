"""Event streams: a journal's records, framed for one kind of client, with pings in between.

A batch of records leaves in one send, already encoded. Pings go in between, and a client that goes away ends the stream
and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import anyio
from sse_starlette import EventSourceResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from execd.events import is_terminal
from execd.service.journal import Slice, now_ms

Records = AsyncGenerator[Slice, None]


class Framing(Protocol):
    """How records look on the wire."""

    def frame(self, seq: int | None, record: bytes) -> bytes:
        """One record as a frame; without a seq it is nothing that a client could resume after."""

    def frames(self, records: Slice) -> bytes:
        """The records, each as a frame of its own."""

    def ping(self) -> bytes:
        """A frame that only says that the stream is alive."""


class ServerSentEvents:
    """`id: <seq>`, `data: <record>`, an empty line (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    def frame(self, seq: int | None, record: bytes) -> bytes:
        """One event; its id is the seq."""
        return b"data: %s\n\n" % record if seq is None else b"id: %d\ndata: %s\n\n" % (seq, record)

    def frames(self, records: Slice) -> bytes:
        """The records as events whose ids are their seqs."""
        numbered = enumerate(records.records, start=records.first)
        return b"".join([piece for seq, record in numbered for piece in (b"id: %d\ndata: " % seq, record, b"\n\n")])

    def ping(self) -> bytes:
        """A ping event; it has no id, for it is in no journal."""
        return self.frame(None, _ping_record())


class BareJson:
    """The record and an empty line: for clients that take every line for JSON."""

    def frame(self, seq: int | None, record: bytes) -> bytes:  # noqa: ARG002  # these frames have no ids
        """One record and an empty line."""
        return b"%s\n\n" % record

    def frames(self, records: Slice) -> bytes:
        """The records, an empty line after each."""
        return b"\n\n".join([*records.records, b""])

    def ping(self) -> bytes:
        """A ping event."""
        return self.frame(None, _ping_record())


def framing_for(user_agent: str) -> Framing:
    """The framing that a client can read: OpenSandbox's Kotlin SDK parses each line as JSON, all others read SSE."""
    return BareJson() if "kotlin" in user_agent.lower() else ServerSentEvents()


def event_stream(
    records: Records,
    framing: Framing,
    ping_interval: float,
    headers: dict[str, str],
    goes_on: Callable[[], bool] = lambda: False,
) -> EventSourceResponse:
    """The HTTP answer: the first record, a ping, and then whatever comes, with a ping every `ping_interval` seconds. If
    it `goes_on` with the next service, a status says so in the end."""
    return _EventStream(records, framing, ping_interval, goes_on, {"Content-Encoding": "identity", **headers})


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames that leave in one send; after the last one there is nothing."""

    frames: bytes
    last: bool = False


class _EventStream(EventSourceResponse):
    """Lets nothing follow the terminal event, and costs two tasks.

    sse-starlette's own `__call__` has four, one of which waits for a loop that looks every half a second whether the
    server is about to end; of a run of 1+1 it took a seventh of the service's time, and of 1,000 readers of one journal
    most of it. Here nobody has to look: what is streamed ends when the service does, and uvicorn gives up on a client
    that does not read.

    The server makes each send wait while the client is slow, and then lets go of all at once: the stream could write
    its last batch before a ping that had waited longer. So sends take turns here, and pings that come late are dropped.
    """

    def __init__(
        self,
        records: Records,
        framing: Framing,
        ping_interval: float,
        goes_on: Callable[[], bool],
        headers: dict[str, str],
    ) -> None:
        self._batches = _batches(records, framing, goes_on)
        super().__init__(self._batches, headers=headers, ping=ping_interval)
        self._framing = framing
        self._turn = anyio.Lock(fast_acquire=True)
        self._begun = self._over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream it all."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._attend, receive, send, tasks.cancel_scope)
            try:
                await self._stream(send)
            except Exception as error:  # noqa: BLE001 - raised below, where no group is made of it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _stream(self, send: Send) -> None:
        async with aclosing(self._batches) as batches:
            async for batch in batches:
                await self._send(send, batch)
        if not self._over:
            await self._send(send, Batch(b"", last=True))

    async def _attend(self, receive: Receive, send: Send, stream: anyio.CancelScope) -> None:
        """Send pings until the client goes, and end the stream with that."""
        while True:
            with anyio.move_on_after(self.ping_interval):
                await _gone(receive)
                stream.cancel()
                return
            await self._send(send, Batch(self._framing.ping()))

    async def _send(self, send: Send, batch: Batch) -> None:
        async with self._turn:
            if self._over:
                return
            self._over = batch.last
            if not self._begun:
                self._begun = True
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": batch.frames, "more_body": not batch.last})


async def _batches(records: Records, framing: Framing, goes_on: Callable[[], bool]) -> AsyncGenerator[Batch, None]:
    first, ended = True, False
    async with aclosing(records) as slices:
        async for found in slices:
            frames = _split_by_ping(found, framing) if first else framing.frames(found)
            first, ended = False, is_terminal(found.records[-1])
            if frames or ended:
                yield Batch(frames, ended)
    if not ended and goes_on():
        yield Batch(framing.frame(None, _resume_record()))


async def _gone(receive: Receive) -> None:
    """Return when the client is."""
    while (await receive())["type"] != "http.disconnect":
        pass


def whole_stream(frames: bytes, headers: dict[str, str]) -> Response:
    """An event stream that is complete already."""
    same = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "identity"}
    return Response(frames, headers={**same, **headers}, media_type="text/event-stream")


def _split_by_ping(found: Slice, framing: Framing) -> bytes:
    if is_terminal(found.records[0]):
        return framing.frames(found)
    head = Slice(found.first, found.records[:1])
    rest = Slice(found.first + 1, found.records[1:])
    return framing.frames(head) + framing.ping() + (framing.frames(rest) if rest.records else b"")


def _resume_record() -> bytes:
    text = "the service is restarted: connect again, and resume after the last event"
    told = {"type": "status", "text": "resume", "timestamp": now_ms(), "why": text}
    return json.dumps(told, separators=(",", ":")).encode()


def _ping_record() -> bytes:
    return json.dumps({"type": "ping", "text": "pong", "timestamp": now_ms()}, separators=(",", ":")).encode()
