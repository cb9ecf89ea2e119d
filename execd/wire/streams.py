"""Event streams: a journal's records, framed for one kind of client, with pings in between.

A batch of records leaves in one send, already encoded. sse-starlette serves the stream: it passes bytes through,
sends the pings and notices when the client goes away, which ends the stream and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import anyio
from sse_starlette import EventSourceResponse
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from execd.events import is_terminal
from execd.service.journal import Slice, now_ms

Records = AsyncIterator[Slice]


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
    shutdown_grace: float,
    headers: dict[str, str],
    goes_on: Callable[[], bool] = lambda: False,
) -> EventSourceResponse:
    """The HTTP answer: the first record, a ping, and then whatever comes, with a ping every `ping_interval` seconds. If
    it `goes_on` with the next service, a status says so in the end."""
    return _EventStream(
        records,
        framing,
        goes_on,
        sep="\n",
        ping=ping_interval,
        ping_message_factory=framing.ping,
        shutdown_event=anyio.Event(),
        shutdown_grace_period=shutdown_grace,
        headers={"Content-Encoding": "identity", **headers},
    )


class _EventStream(EventSourceResponse):
    """Lets nothing follow the terminal event.

    The server makes each send wait while the client is slow, and then lets go of all at once: the stream could write
    its last batch before a ping that had waited longer. So sends take turns here, and pings that come late are dropped.
    """

    def __init__(self, records: Records, framing: Framing, goes_on: Callable[[], bool], **options: Any) -> None:
        super().__init__(self._framed(records, framing, goes_on), **options)
        self._turn = anyio.Lock(fast_acquire=True)
        self._last_batch: bytes | None = None
        self._over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream it all."""

        async def send_in_turn(message: Message) -> None:
            async with self._turn:
                if self._over and message.get("more_body"):
                    return
                self._over = self._over or (self._last_batch is not None and message.get("body") is self._last_batch)
                await send(message)

        await super().__call__(scope, receive, send_in_turn)

    async def _framed(self, records: Records, framing: Framing, goes_on: Callable[[], bool]) -> AsyncIterator[bytes]:
        first = True
        async for found in records:
            frames = _split_by_ping(found, framing) if first else framing.frames(found)
            first = False
            if is_terminal(found.records[-1]):
                self._last_batch = frames
            if frames:
                yield frames
        if self._last_batch is None and goes_on():
            yield framing.frame(None, _resume_record())


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
