"""The terminal event is the last thing on a stream, however slowly the client takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from starlette.types import Message

from execd.events import Complete, Init, Status, encode
from execd.service.journal import Slice
from execd.wire.streams import ServerSentEvents, event_stream

INIT = Slice(1, [encode(Init("ctx_1", "run_1"), 1, 0)])
END = Slice(2, [encode(Complete(Status.SUCCEEDED), 2, 0)])


async def _records(*slices: Slice) -> AsyncIterator[Slice]:
    for found in slices:
        yield found


@pytest.mark.anyio
@pytest.mark.parametrize("slices", [(INIT, END), (END,)], ids=["whole", "resumed"])
async def test_no_ping_follows_the_terminal_event(slices: tuple[Slice, ...]) -> None:
    response = event_stream(_records(*slices), ServerSentEvents(), 0.001, 0, {})
    sent: list[bytes] = []
    ping_was_due = anyio.Event()

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        body = message.get("body", b"")
        sent.append(body)
        if b"execution_complete" in body:
            await ping_was_due.wait()
        elif b"execution_complete" in b"".join(sent):
            ping_was_due.set()

    with anyio.fail_after(30):
        await response({"type": "http", "method": "GET"}, receive, send)
    frames = b"".join(sent).split(b"\n\n")
    assert frames[-1] == b""
    assert frames[-2] == b"id: 2\ndata: " + END.records[0]
