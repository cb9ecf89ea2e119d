"""The output budget: what is kept, what is dropped, and where the cuts are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execd.events import (
    Bundle,
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Event,
    ExecutionCount,
    InputRequest,
    Output,
    Result,
    StatusChanged,
    Stderr,
    Stdout,
    Truncated,
)
from execd.service.budget import OutputBudget, split_head
from execd.service.tail import EVENT_OVERHEAD, byte_size

STREAMS = (Stdout, Stderr)

# Lines of any length, characters of one to four bytes, lone surrogates, chunks that end inside a line.
letters = st.sampled_from(["a", "bb", "\n", "é", "€", "😀", "\ud800", "\r\n", "x" * 30, "\n\n", ""])
chunks = st.lists(letters, max_size=40).map("".join)
outputs = st.lists(st.builds(lambda cls, text: cls(text), st.sampled_from(STREAMS), chunks), max_size=30)


class Spent:
    """A budget that was given some output, and what it journaled before and at the end."""

    def __init__(self, events: list[Output], total: int, tail: int, exhaust_after: int | None = None) -> None:
        budget = OutputBudget(total, tail, 0)
        self.sent = events
        self.head: list[Event] = []
        self.peak = 0
        for number, event in enumerate(events):
            if number == exhaust_after:
                budget.exhaust()
            self.head += budget.admit(event)
            self.peak = max(self.peak, budget.held)
        settled = budget.settle()
        self.truncated = {event.stream: event for event in settled if isinstance(event, Truncated)}
        self.tail = [event for event in settled if not isinstance(event, Truncated)]
        assert settled == [*self.truncated.values(), *self.tail]

    def parts(self, kind: type[Output]) -> tuple[str, str, str]:
        """What one stream was given, what was kept of its head and what of its tail."""
        return text_of(self.sent, kind), text_of(self.head, kind), text_of(self.tail, kind)


def text_of(events: list[Any], kind: type[Output]) -> str:
    return "".join(event.text for event in events if type(event) is kind)


def cost(events: list[Event]) -> int:
    return sum(byte_size(event.text) + EVENT_OVERHEAD for event in events if isinstance(event, Output))


@settings(max_examples=400, deadline=None)
@given(outputs, st.integers(200, 3000), st.integers(50, 1500), st.none() | st.integers(0, 5))
def test_head_and_tail_are_the_two_ends_of_each_stream(
    events: list[Output], total: int, tail: int, exhaust_after: int | None
) -> None:
    spent = Spent(events, total, tail, exhaust_after)
    for kind in STREAMS:
        sent, head, end = spent.parts(kind)
        assert sent.startswith(head)
        assert sent.endswith(end)
        dropped = byte_size(sent) - byte_size(head) - byte_size(end)
        if dropped:
            assert spent.truncated[kind.type] == Truncated(kind.type, dropped, byte_size(sent))
        else:
            assert kind.type not in spent.truncated
            assert sent == head + end
    assert cost(spent.head) + cost(spent.tail) <= total
    assert spent.peak <= 2 * min(tail, total // 2) + 4096 + EVENT_OVERHEAD


@settings(max_examples=400, deadline=None)
@given(outputs, st.integers(200, 3000), st.integers(50, 1500))
def test_a_tail_begins_a_line_if_it_holds_the_beginning_of_one(events: list[Output], total: int, tail: int) -> None:
    spent = Spent(events, total, tail)
    for kind in STREAMS:
        sent, head, end = spent.parts(kind)
        before = sent[: len(sent) - len(end)]
        if kind.type in spent.truncated and end and not before.endswith("\n"):
            # Cut inside a line: then no other line begins in what was kept.
            assert "\n" not in end[:-1]
        assert len(head) <= len(before)


@given(chunks, st.integers(-10, 400))
def test_a_head_is_cut_at_a_line_end_or_between_characters(text: str, room: int) -> None:
    head, rest = split_head(text, room)
    assert head + rest == text
    assert byte_size(head) <= max(room, 0)
    if rest and not head.endswith("\n"):
        # No line end fits, and not one character more.
        assert "\n" not in head
        assert byte_size(head + rest[0]) > max(room, 0)


@pytest.mark.parametrize(
    ("text", "room", "head"),
    [
        ("abc", 3, "abc"),
        ("one\ntwo\nthree", 9, "one\ntwo\n"),
        ("one\ntwo\n", 8, "one\ntwo\n"),
        ("abcdef", 3, "abc"),
        ("ééé", 3, "é"),
        ("😀😀", 7, "😀"),
        ("\ud800\ud800", 4, "\ud800"),
        ("é", 1, ""),
        ("abc", 0, ""),
        ("abc", -5, ""),
    ],
)
def test_what_of_a_text_fits(text: str, room: int, head: str) -> None:
    assert split_head(text, room) == (head, text[len(head) :])


def test_output_within_the_budget_goes_straight_through() -> None:
    budget = OutputBudget(10_000, 1000, 0)
    events = [Stdout("a\n"), Stderr("b\n"), Stdout("c")]
    assert [budget.admit(event) for event in events] == [[event] for event in events]
    assert not budget.exhausted
    assert budget.settle() == []


def test_what_did_not_fit_into_the_head_is_kept_when_the_tail_has_room() -> None:
    budget = OutputBudget(600, 300, 0)
    assert budget.admit(Stdout("x" * 190 + "\n" + "y" * 100)) == [Stdout("x" * 190 + "\n")]
    assert budget.exhausted
    assert budget.admit(Stdout("z")) == []
    assert budget.settle() == [Stdout("y" * 100 + "z")]


def test_a_hole_in_the_middle_is_told_before_the_tail() -> None:
    budget = OutputBudget(1000, 200, 0)
    lines = [Stdout(f"line {number:02}\n") for number in range(99)]
    head = [event for line in lines for event in budget.admit(line)]
    assert head == lines[: len(head)]
    truncated, tail = budget.settle()
    assert isinstance(tail, Stdout)
    assert tail.text.splitlines() == [line.text.rstrip() for line in lines[-len(tail.text) // 8 :]]
    assert truncated == Truncated("stdout", 8 * (99 - len(head)) - len(tail.text), 8 * 99)


def test_the_end_of_one_huge_text_is_kept() -> None:
    budget = OutputBudget(1000, 400, 0)
    budget.admit(Stdout("a\n" * 100))
    budget.admit(Stdout("early\n"))
    assert budget.admit(Stdout("b" * 10_000 + "\n" + "c" * 300)) == [Stdout("b" * 202)]
    truncated, tail = budget.settle()
    assert tail == Stdout("c" * 300)
    assert truncated == Truncated("stdout", 9_799, 10_507)


def test_a_million_tiny_writes_do_not_fill_the_memory() -> None:
    budget = OutputBudget(40_000, 20_000, 0)
    for _ in range(20_000):
        budget.admit(Stdout("x"))
        budget.admit(Stderr("y"))
        budget.admit(Stdout(""))
    settled = budget.settle()
    assert len(settled) <= 2 + 20_000 // EVENT_OVERHEAD


def test_exhaust_sends_the_rest_to_the_tail() -> None:
    budget = OutputBudget(10_000, 1000, 10_000)
    budget.admit(Stdout("head\n"))
    budget.exhaust()
    assert budget.exhausted
    assert budget.admit(Stdout("tail\n")) == []
    assert budget.admit(Result({"text/plain": "1"}, {})) == []
    size = EVENT_OVERHEAD + len("text/plain1")
    assert budget.settle() == [Truncated("result", size, size), Stdout("tail\n")]


@pytest.mark.parametrize(
    "event",
    [StatusChanged("error"), ExecutionCount(1), Error("E", "e", ("t",)), InputRequest("?", password=False)],
    ids=lambda event: event.type,
)
def test_what_is_no_output_always_passes(event: Event) -> None:
    budget = OutputBudget(0, 0, 0)
    assert budget.admit(event) == [event]


json_values = st.recursive(
    st.text(max_size=20) | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=5), max_leaves=9
)
bundles = st.builds(
    lambda cls, data, metadata: cls(data, metadata),
    st.sampled_from([Result, Display, DisplayUpdate]),
    st.dictionaries(st.text(max_size=10), json_values, max_size=3),
    st.dictionaries(st.text(max_size=5), json_values, max_size=2),
)


@given(st.lists(bundles, max_size=12), st.integers(0, 1500))
def test_a_bundle_is_journaled_whole_or_not_at_all(events: list[Bundle], rich: int) -> None:
    budget = OutputBudget(1000, 100, rich)
    journaled = [budget.admit(event) for event in events]
    assert all(found in ([], [event]) for found, event in zip(journaled, events, strict=True))
    kept = [event for found in journaled for event in found if isinstance(event, Bundle)]
    texts = [value for event in kept for value in event.data.values() if isinstance(value, str)]
    assert EVENT_OVERHEAD * len(kept) + sum(map(byte_size, texts)) <= rich
    dropped = len(events) - len(kept)
    told = budget.settle()
    assert len(told) == (1 if dropped else 0)
    assert all(isinstance(found, Truncated) and found.stream == "result" for found in told)


def test_metadata_counts_too() -> None:
    budget = OutputBudget(1000, 100, 1000)
    assert budget.admit(Display({"text/plain": "x"}, {"note": "y" * 1000})) == []


def test_a_small_bundle_passes_after_one_that_did_not_fit() -> None:
    budget = OutputBudget(1000, 100, 500)
    small = Display({"text/plain": "x"}, {})
    assert budget.admit(Display({"image/png": "y" * 1000}, {})) == []
    assert budget.admit(small) == [small]


def test_endless_clearing_is_bounded_too() -> None:
    budget = OutputBudget(1000, 100, 10 * EVENT_OVERHEAD)
    clear = ClearOutput(wait=False)
    assert sum(len(budget.admit(clear)) for _ in range(99)) == 10
