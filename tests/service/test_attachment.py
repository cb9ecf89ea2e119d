"""What waits for an attached client: all of it, in order, in bounded memory; and how its hold ends."""

from __future__ import annotations

import anyio
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import TerminalGone, TerminalTakenOver
from execd.service.attachment import HIGH_WATER, LOW_WATER, Attachment, Exited
from execd.service.line import READ_SIZE, Stream

streams = st.sampled_from(list(Stream))


def attachment() -> Attachment:
    """One without a terminal."""
    return Attachment((0, b""), lambda _: None)


async def collected(held: Attachment) -> list[tuple[Stream, bytes]]:
    """All output until the hold ends."""
    return [piece async for piece in held.output()]


def joined(pieces: list[tuple[Stream, bytes]], stream: Stream) -> bytes:
    """One stream's bytes."""
    return b"".join(data for found, data in pieces if found is stream)


@given(st.lists(st.tuples(streams, st.binary(min_size=1, max_size=READ_SIZE)), max_size=20))
def test_everything_comes_out_in_order_and_in_pieces_that_fit_a_frame(pieces: list[tuple[Stream, bytes]]) -> None:
    held = attachment()
    for stream, data in pieces:
        held.put(stream, data)
    held.finish(0)
    out = anyio.run(collected, held)
    assert [joined(out, stream) for stream in Stream] == [joined(pieces, stream) for stream in Stream]
    assert all(len(data) <= READ_SIZE for _, data in out)


def test_drops_become_few_pieces() -> None:
    held = attachment()
    for _ in range(1000):
        held.put(Stream.STDOUT, b"x")
    held.finish(0)
    assert anyio.run(collected, held) == [(Stream.STDOUT, b"x" * 1000)]


def test_many_drops_of_two_streams_in_turn_hold_the_reader_up_too() -> None:
    held = attachment()
    written = 0
    while not held.behind:
        held.put((Stream.STDOUT, Stream.STDERR)[written % 2], b"x")
        written += 1
    assert written < HIGH_WATER


async def test_the_reader_goes_on_once_the_client_has_caught_up() -> None:
    held = attachment()
    while not held.behind:
        held.put(Stream.STDOUT, bytes(READ_SIZE))
    relaxed = anyio.Event()
    held.when_relaxed(relaxed.set)
    waiting = HIGH_WATER
    output = held.output()
    while not relaxed.is_set():
        _, data = await anext(output)
        waiting -= len(data)
    assert waiting == LOW_WATER
    await output.aclose()  # type: ignore[attr-defined]


def test_an_exit_comes_after_the_output() -> None:
    held = attachment()
    held.put(Stream.STDOUT, b"last words")
    held.finish(3)
    assert held.ending == Exited(3)
    assert anyio.run(collected, held) == [(Stream.STDOUT, b"last words")]


def test_a_revoked_hold_ends_at_once_and_lets_the_reader_go_on() -> None:
    held = attachment()
    held.put(Stream.STDOUT, bytes(HIGH_WATER))
    relaxed: list[bool] = []
    held.when_relaxed(lambda: relaxed.append(True))
    held.revoke(TerminalTakenOver("pty_1"))
    held.revoke(TerminalGone("pty_1"))
    assert isinstance(held.ending, TerminalTakenOver)
    assert relaxed == [True]
    assert anyio.run(collected, held) == []


def test_a_hold_that_was_revoked_has_no_exit() -> None:
    held = attachment()
    held.revoke(TerminalGone("pty_1"))
    held.finish(0)
    assert isinstance(held.ending, TerminalGone)


def test_a_client_that_goes_lets_the_reader_go_on() -> None:
    released: list[Attachment] = []
    held = Attachment((0, b""), released.append)
    held.put(Stream.STDOUT, bytes(HIGH_WATER))
    relaxed: list[bool] = []
    held.when_relaxed(lambda: relaxed.append(True))
    held.detach()
    held.detach()
    assert (released, relaxed) == ([held, held], [True])
