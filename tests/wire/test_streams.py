"""Event streams, read as their clients read them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import httpx_sse
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from execd.errors import StorageFull
from execd.events import Complete, Display, Event, Status, Stderr, Stdout, encode
from execd.service.journal import Slice
from execd.wire.streams import BareJson, Framing, ServerSentEvents, event_stream, framing_for

line_ends = st.sampled_from("\r\n\u2028\u2029\x85\x0b\x0c\x1c:")
texts = st.text(st.characters(exclude_categories=()) | line_ends, max_size=20)
events = st.one_of(
    texts.map(Stdout),
    texts.map(Stderr),
    st.builds(lambda key, value: Display({key: value}, {}), texts, texts),
)
SCOPE = {"type": "http", "method": "GET", "path": "/"}

# As journals are: something first, the end last or not there yet.
event_lists = st.builds(
    lambda found, end: found + end,
    st.lists(events, min_size=1, max_size=8),
    st.sampled_from([[], [Complete(Status.SUCCEEDED)]]),
)


def records_of(found: list[Event]) -> list[bytes]:
    return [encode(event, seq, 5) for seq, event in enumerate(found, start=1)]


def slices_of(records: list[bytes], size: int) -> list[Slice]:
    return [Slice(start + 1, records[start : start + size]) for start in range(0, len(records), size)]


async def stream(slices: list[Slice], framing: Framing) -> AsyncIterator[bytes]:
    """The bytes of an answer, chunk by chunk, as a server would send them."""

    async def records() -> AsyncGenerator[Slice, None]:
        for found in slices:
            yield found

    sent: list[Message] = []
    answer = event_stream(records(), framing, 1000, {})

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    await answer(SCOPE, receive, send)
    for message in sent:
        if message["type"] == "http.response.body" and message["body"]:
            yield message["body"]


def served(slices: list[Slice], framing: Framing) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [chunk async for chunk in stream(slices, framing)]

    return anyio.run(collect)


def answer_of(chunks: list[bytes]) -> httpx.Response:
    def content() -> Iterator[bytes]:
        yield from chunks

    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=content())


def without_pings(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["type"] != "ping"]


class TestServerSentEvents:
    @given(event_lists, st.integers(1, 4), st.integers(1, 40))
    def test_a_decoder_of_the_standard_reads_every_record_with_its_id(
        self, found: list[Event], size: int, cut: int
    ) -> None:
        records = records_of(found)
        whole = b"".join(served(slices_of(records, size), ServerSentEvents()))
        # The network cuts where it likes.
        chunks = [whole[start : start + cut] for start in range(0, len(whole), cut)]
        read = list(httpx_sse.EventSource(answer_of(chunks)).iter_sse())
        assert [event.event for event in read] == ["message"] * (len(records) + 1)
        named = [event for event in read if json.loads(event.data)["type"] != "ping"]
        assert [(event.id, event.data.encode()) for event in named] == [
            (str(seq), record) for seq, record in enumerate(records, start=1)
        ]

    @given(event_lists, st.integers(1, 4))
    def test_a_client_that_reads_lines_with_httpx_sees_whole_frames(self, found: list[Event], size: int) -> None:
        records = records_of(found)
        lines = list(answer_of(served(slices_of(records, size), ServerSentEvents())).iter_lines())
        datas = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        assert without_pings([json.loads(data) for data in datas]) == [json.loads(record) for record in records]
        assert {line.partition(":")[0] for line in lines} == {"id", "data", ""}

    def test_the_bytes(self) -> None:
        framing = ServerSentEvents()
        assert framing.frames(Slice(7, [b"{}", b"[]"])) == b"id: 7\ndata: {}\n\nid: 8\ndata: []\n\n"
        assert framing.frame(None, b"{}") == b"data: {}\n\n"
        assert framing.frame(3, b"{}") == b"id: 3\ndata: {}\n\n"
        assert framing.frames(Slice(1, [])) == b""


class TestBareJson:
    @given(event_lists, st.integers(1, 4))
    def test_every_line_is_json_or_empty(self, found: list[Event], size: int) -> None:
        records = records_of(found)
        lines = list(answer_of(served(slices_of(records, size), BareJson())).iter_lines())
        assert lines[1::2] == [""] * (len(records) + 1)
        assert without_pings([json.loads(line) for line in lines[::2]]) == [json.loads(record) for record in records]

    def test_the_bytes(self) -> None:
        assert BareJson().frames(Slice(7, [b"{}", b"[]"])) == b"{}\n\n[]\n\n"
        assert BareJson().frame(7, b"{}") == b"{}\n\n"


@pytest.mark.parametrize("framing", [ServerSentEvents(), BareJson()], ids=["sse", "json"])
class TestStream:
    @pytest.mark.parametrize("size", [1, 2, 9])
    def test_the_first_ping_comes_right_after_the_first_record(self, framing: Framing, size: int) -> None:
        records = records_of([Stdout("a"), Stdout("b"), Complete(Status.SUCCEEDED)])
        whole = b"".join(served(slices_of(records, size), framing)).decode()
        frames = [json.loads(line[line.index("{") :]) for line in whole.splitlines() if "{" in line]
        assert [frame["type"] for frame in frames] == ["stdout", "ping", "stdout", "execution_complete"]
        ping = frames[1]
        assert (set(ping), ping["text"]) == ({"type", "text", "timestamp"}, "pong")

    def test_a_ping_is_nothing_that_can_be_resumed_after(self, framing: Framing) -> None:
        assert b"id:" not in framing.ping()
        assert framing.ping().endswith(b"}\n\n")

    def test_a_stream_of_nothing_is_empty(self, framing: Framing) -> None:
        assert served([], framing) == []


async def test_pings_go_on_while_nothing_happens() -> None:
    pinged = anyio.Event()
    pings = 0

    async def records() -> AsyncGenerator[Slice, None]:
        yield Slice(1, records_of([Stdout("a")]))
        await pinged.wait()

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        nonlocal pings
        pings += message.get("body", b"").count(b'"type":"ping"')
        if pings == 4:
            pinged.set()

    with anyio.fail_after(20):
        await event_stream(records(), ServerSentEvents(), 0.01, {})(SCOPE, receive, send)
    assert pings >= 4


async def test_a_client_that_leaves_ends_the_stream_and_nothing_else() -> None:
    left = anyio.Event()
    closed = anyio.Event()

    async def records() -> AsyncGenerator[Slice, None]:
        try:
            yield Slice(1, records_of([Stdout("a")]))
            await anyio.sleep_forever()
        finally:
            closed.set()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            left.set()

    with anyio.fail_after(20):
        await event_stream(records(), ServerSentEvents(), 1000, {})(SCOPE, receive, send)
        await closed.wait()


async def test_what_fails_before_the_first_record_is_answered_and_no_stream() -> None:
    sent: list[Message] = []

    async def records() -> AsyncGenerator[Slice, None]:
        if not sent:
            raise StorageFull("it cannot be read")
        yield Slice(1, [])

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    with anyio.fail_after(20), pytest.raises(StorageFull):
        await event_stream(records(), ServerSentEvents(), 1000, {})(SCOPE, receive, send)
    assert sent == []


async def test_a_stream_that_has_ended_is_complete_with_its_last_record() -> None:
    sent: list[Message] = []

    async def records() -> AsyncGenerator[Slice, None]:
        yield Slice(1, records_of([Stdout("a")]))
        yield Slice(2, records_of([Complete(Status.SUCCEEDED)]))

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    with anyio.fail_after(20):
        await event_stream(records(), ServerSentEvents(), 1000, {})(SCOPE, receive, send)
    assert [message.get("more_body") for message in sent] == [None, True, False]
    assert b"execution_complete" in sent[-1]["body"]


async def test_a_head_is_answered_without_a_stream() -> None:
    sent: list[Message] = []

    async def records() -> AsyncGenerator[Slice, None]:
        await anyio.sleep_forever()
        yield Slice(1, [])

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    with anyio.fail_after(20):
        await event_stream(records(), ServerSentEvents(), 1000, {})({**SCOPE, "method": "HEAD"}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_the_headers_keep_proxies_from_holding_it_back() -> None:
    async def nothing() -> AsyncGenerator[Slice, None]:
        return
        yield

    async def headers() -> dict[str, str]:
        return dict(event_stream(nothing(), ServerSentEvents(), 1, {"EXECD-EXECUTION-ID": "run_1"}).headers)

    found = anyio.run(headers)
    assert found["content-type"].startswith("text/event-stream")
    assert found["x-accel-buffering"] == "no"
    assert found["cache-control"] == "no-store"
    assert found["content-encoding"] == "identity"
    assert found["execd-execution-id"] == "run_1"


@pytest.mark.parametrize(
    ("agent", "framing"),
    [
        ("", ServerSentEvents),
        ("OpenSandbox-Python-SDK/0.1", ServerSentEvents),
        ("curl/8.0", ServerSentEvents),
        ("OpenSandbox-Kotlin-SDK/1.0", BareJson),
        ("okhttp KOTLIN", BareJson),
    ],
)
def test_which_client_reads_what(agent: str, framing: type[Framing]) -> None:
    assert isinstance(framing_for(agent), framing)
