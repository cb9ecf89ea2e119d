"""Channels: every message is delivered, in order, whatever one of them does to its receiver."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
import zmq
from jupyter_client.session import Session

from execd.kernel.channels import Channel
from execd.kernel.messages import Codec, MalformedMessage, Message

KEY = b"a key"


class Wire:
    """Two connected sockets: ours, and the one that a kernel would have."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.kernel = context.socket(zmq.PAIR)
        self.kernel.bind("inproc://wire")
        self.ours = context.socket(zmq.PAIR)
        self.ours.connect("inproc://wire")
        self.session = Session(key=KEY, username="kernel")

    def say(self, text: str) -> None:
        message = self.session.msg("stream", {"name": "stdout", "text": text})
        self.kernel.send_multipart(self.session.serialize(message))


@pytest.fixture
def wire() -> Iterator[Wire]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield Wire(context)
    context.destroy(linger=0)


async def heard(wire: Wire, count: int, spoil: Exception | None = None) -> list[str]:
    """What a channel delivers of `count` messages, when the delivery of the first one raises `spoil`."""
    texts: list[str] = []
    all_in = anyio.Event()

    def deliver(message: Message) -> None:
        texts.append(message.content["text"])
        if len(texts) == count:
            all_in.set()
        if spoil is not None and len(texts) == 1:
            raise spoil

    channel = Channel(wire.ours, Codec(KEY), deliver)
    try:
        with anyio.fail_after(20):
            await all_in.wait()
    finally:
        channel.close()
        channel.close()
    return texts


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
async def test_messages_are_delivered_in_order(wire: Wire, count: int) -> None:
    for number in range(count):
        wire.say(str(number))
    assert await heard(wire, count) == [str(number) for number in range(count)]


@pytest.mark.parametrize("spoil", [MalformedMessage("no object"), KeyError("x"), RecursionError()], ids=repr)
async def test_a_message_that_breaks_its_receiver_stops_no_other(wire: Wire, spoil: Exception) -> None:
    for number in range(3):
        wire.say(str(number))
    assert await heard(wire, 3, spoil) == ["0", "1", "2"]


async def test_frames_that_are_no_message_are_passed_over(wire: Wire) -> None:
    wire.kernel.send_multipart([b"garbage"])
    wire.say("after")
    assert await heard(wire, 1) == ["after"]


async def test_what_is_sent_has_an_id_and_is_signed(wire: Wire) -> None:
    channel = Channel(wire.ours, Codec(KEY), lambda _: None)
    msg_id = channel.send("kernel_info_request", {"a": 1})
    channel.close()
    _, parts = wire.session.feed_identities(wire.kernel.recv_multipart())
    read = wire.session.deserialize(parts)
    assert (read["header"]["msg_id"], read["header"]["msg_type"], read["content"]) == (
        msg_id,
        "kernel_info_request",
        {"a": 1},
    )


async def test_while_it_is_held_nothing_is_delivered_and_then_everything(wire: Wire) -> None:
    texts: list[str] = []

    def deliver(message: Message) -> None:
        texts.append(message.content["text"])
        if texts[-1] == "hold":
            channel.hold()
            channel.hold()

    channel = Channel(wire.ours, Codec(KEY), deliver)
    for text in ("hold", "1", "2"):
        wire.say(text)
    await anyio.sleep(0.05)
    assert not channel.drain()
    assert texts == ["hold"]
    channel.go_on()
    channel.go_on()
    with anyio.fail_after(20):
        while texts != ["hold", "1", "2"]:  # noqa: ASYNC110 - the channel tells of no such moment
            await anyio.sleep(0.001)
    wire.say("hold")
    with anyio.fail_after(20):
        while texts[-1] != "hold":  # noqa: ASYNC110 - the same
            await anyio.sleep(0.001)
    channel.close()
    channel.go_on()
