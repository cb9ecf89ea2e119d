"""The terminal event is the last thing on a stream, however slowly the client takes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from execd.events import Complete, Init, Status, Stdout, encode
from execd.service.journal import Slice
from execd.wire.streams import ServerSentEvents, event_stream

INIT = Slice(1, [encode(Init("ctx_1", "run_1"), 1, 0)])
OUTPUT = Slice(2, [encode(Stdout("x"), 2, 0)])
END = Slice(3, [encode(Complete(Status.SUCCEEDED), 3, 0)])


class WatchedPings(ServerSentEvents):
    """Tells when a ping is made."""

    def __init__(self) -> None:
        self._made = anyio.Event()

    def ping(self) -> bytes:
        self._made.set()
        return super().ping()

    async def next_ping(self) -> None:
        """Return when a ping has been made from now on, and has got as far as it can."""
        self._made = anyio.Event()
        await self._made.wait()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()


async def _records(*slices: Slice) -> AsyncGenerator[Slice, None]:
    for found in slices:
        yield found


async def _never() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


@pytest.mark.anyio
@pytest.mark.parametrize("slices", [(INIT, OUTPUT, END), (END,)], ids=["whole", "resumed"])
async def test_no_ping_follows_the_terminal_event(slices: tuple[Slice, ...]) -> None:
    framing = WatchedPings()
    response = event_stream(_records(*slices), framing, 0.001, {})
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        if b"execution_complete" in sent[-1]:
            await framing.next_ping()

    with anyio.fail_after(30):
        await response({"type": "http", "method": "GET"}, _never, send)
    assert b"".join(sent).split(b"\n\n")[-2:] == [b"id: 3\ndata: " + END.records[0], b""]


@pytest.mark.anyio
async def test_the_terminal_event_does_not_overtake_a_ping_that_waits_for_a_slow_client() -> None:
    framing = WatchedPings()
    response = event_stream(_records(INIT, OUTPUT, END), framing, 0.001, {})
    written: list[bytes] = []
    writable = anyio.Event()

    async def send(message: Message) -> None:
        # As uvicorn does it: what comes while the client is slow waits, and then all may go on at once.
        body = message.get("body", b"")
        if b'"stdout"' in body:
            await framing.next_ping()
            writable.set()
        elif b'"ping"' in body and b'"init"' not in body:
            await writable.wait()
        written.append(body)

    with anyio.fail_after(30):
        await response({"type": "http", "method": "GET"}, _never, send)
    assert b"".join(written).split(b"\n\n")[-2:] == [b"id: 3\ndata: " + END.records[0], b""]
