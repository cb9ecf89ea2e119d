"""The ring: the last bytes of an output, found by their offset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from execd.service.replay import Replay

writes = st.lists(st.binary(max_size=40), max_size=30)


@given(writes, st.integers(1, 64), st.integers(0, 2000))
def test_it_gives_back_what_was_written_from_any_offset_on(pieces: list[bytes], capacity: int, offset: int) -> None:
    replay = Replay(capacity)
    for piece in pieces:
        replay.append(piece)
    whole = b"".join(pieces)
    oldest = max(len(whole) - capacity, 0)
    first = min(max(offset, oldest), len(whole))
    assert replay.since(offset) == (first, whole[first:])
    assert (replay.start, replay.end) == (oldest, len(whole))


def test_an_output_larger_than_the_ring_leaves_its_end() -> None:
    replay = Replay(4)
    replay.append(b"0123456789")
    assert replay.since(0) == (6, b"6789")


def test_what_is_given_out_does_not_change_afterwards() -> None:
    replay = Replay(4)
    replay.append(b"abcd")
    _, before = replay.since(0)
    replay.append(b"ef")
    assert before == b"abcd"
