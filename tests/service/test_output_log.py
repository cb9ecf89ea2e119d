"""A command's output read by byte offsets, against the whole of it as one string."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.events import Complete, Error, Event, Init, Status, Stderr, Stdout, Truncated
from execd.service import output_log
from execd.service.journal import Journal
from execd.service.output_log import OutputLog
from tests.service.journal_model import MemoryShelf, now, small_bounds

TEXTS = st.text(alphabet='aé🙂\n\r\\"\u2028\ud800', min_size=1, max_size=30)
EVENTS = st.lists(
    st.one_of(
        st.builds(Stdout, TEXTS),
        st.builds(Stderr, TEXTS),
        st.builds(Truncated, st.just("stdout"), st.integers(1, 9), st.integers(10, 99)),
    ),
    max_size=40,
)


@pytest.fixture(autouse=True, scope="module")
def _near_bounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, small_bounds():
        patch.setattr(output_log, "_CHECKPOINT_BYTES", 100)
        yield


class Written:
    """A journal with these events, in a store, and the bytes that its log must have."""

    def __init__(self, events: list[Event]) -> None:
        self.shelf = MemoryShelf()
        self.journal = Journal(self.shelf)
        self.whole = b""
        for event in (Init("e", None), *events):
            self.append(event)

    def append(self, event: Event) -> None:
        self.journal.append(event)
        self.shelf.take(self.journal)
        if isinstance(event, Stdout | Stderr):
            self.whole += event.text.encode("utf-8", "replace")
        if isinstance(event, Truncated):
            self.whole += f"[{event.payload()['text']}]\n".encode()


@given(EVENTS, st.text("xé", max_size=5), st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 700)), max_size=8))
def test_any_piece_is_that_piece_of_the_whole(events: list[Event], pending: str, pieces: list[tuple[int, int]]) -> None:
    written = Written(events)
    log = OutputLog(written.journal)
    whole = written.whole + pending.encode()
    for offset, most in pieces:
        assert now(log.read(offset, most, lambda: pending)) == whole[offset : offset + most]


@given(EVENTS, st.integers(1, 300))
def test_following_the_cursor_while_it_grows_gives_everything_once(events: list[Event], most: int) -> None:
    written = Written([])
    log, read = OutputLog(written.journal), b""
    for event in events:
        written.append(event)
        read += now(log.read(len(read), most))
    while piece := now(log.read(len(read), most)):
        read += piece
    assert read == written.whole


def test_what_is_no_output_is_not_in_it() -> None:
    written = Written([Stdout("a\n"), Error("E", "v"), Complete(Status.FAILED)])
    assert now(OutputLog(written.journal).read(0, 100)) == b"a\n"


def test_after_the_end_it_is_read_from_the_store() -> None:
    written = Written([Stdout(f"{number}\n") for number in range(500)])
    log = OutputLog(written.journal)
    before = now(log.read(0, 10_000))
    written.journal.append(Complete(Status.SUCCEEDED))
    written.shelf.take(written.journal)
    assert now(log.read(0, 10_000)) == before == written.whole
    assert now(OutputLog(written.journal).read(1000, 50)) == written.whole[1000:1050]


def test_beyond_the_end_there_is_nothing() -> None:
    written = Written([Stdout("abc")])
    log = OutputLog(written.journal)
    assert now(log.read(4, 10, lambda: "d")) == b""
    assert now(log.read(3, 10, lambda: "d")) == b"d"
    assert now(log.read(2, 10, lambda: "d")) == b"cd"


def test_what_could_still_be_lost_is_not_shown() -> None:
    written = Written([Stdout("kept\n")])
    log = OutputLog(written.journal)
    written.journal.append(Stdout("not yet\n"))
    assert now(log.read(0, 100, lambda: "begun")) == b"kept\n"
    written.shelf.take(written.journal)
    assert now(log.read(0, 100, lambda: "begun")) == b"kept\nnot yet\nbegun"
