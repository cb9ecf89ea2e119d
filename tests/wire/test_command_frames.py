"""What clients of commands read, against a reference that works on text instead of bytes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.events import (
    Complete,
    Error,
    Event,
    Init,
    Reason,
    Status,
    StatusChanged,
    Stderr,
    Stdout,
    Truncated,
    encode,
)
from execd.service.journal import Slice
from execd.wire.execd.command_frames import CommandFrames
from execd.wire.streams import BareJson, ServerSentEvents

TEXTS = st.lists(
    st.sampled_from(
        ["a", "b", "\n", "\r", "\r\n", "\\", "\\n", "\\\\", '"', '"text":""}', "é", "🙂", "\u2028", "\0", "\t", "\x7f"]
    ),
    min_size=1,
    max_size=12,
).map("".join)
OUTPUT = st.builds(lambda kind, text: kind(text), st.sampled_from([Stdout, Stderr]), TEXTS)


@dataclass(frozen=True)
class Frame:
    """What a client reads of one frame; `seq` is its id."""

    seq: int | None
    event: dict[str, Any]

    @property
    def line(self) -> tuple[str, str]:
        """The stream and the text."""
        return self.event["type"], self.event["text"]


def records(events: list[Event]) -> list[bytes]:
    """The records that a journal keeps of these events."""
    return [encode(event, seq, 1000 + seq) for seq, event in enumerate(events, start=1)]


def framed(events: list[Event], sizes: tuple[int, ...] = ()) -> list[Frame]:
    """The frames of these events, the records coming in slices of these sizes and then the rest."""
    framing, kept, first, sent = CommandFrames(ServerSentEvents()), records(events), 1, b""
    for size in (*sizes, len(kept)):
        sent += framing.frames(Slice(first, kept[first - 1 : first - 1 + size]))
        first += size
    return parsed(sent)


def parsed(sent: bytes) -> list[Frame]:
    """Server-sent events, read strictly: nothing but an id and one line of ASCII data."""
    blocks = sent.decode("ascii").split("\n\n")
    assert blocks.pop() == ""
    matches = [re.fullmatch(r"(?:id: (\d+)\n)?data: (\{.*\})", block) for block in blocks]
    assert all(matches)
    return [Frame(int(found[1]) if found[1] else None, json.loads(found[2])) for found in matches if found]


def expected_lines(events: list[Event]) -> dict[str, list[str]]:
    """The lines of each stream as a whole."""
    found = {}
    for kind in (Stdout, Stderr):
        whole = "".join(event.text for event in events if isinstance(event, kind))
        lines = re.sub("\r\n?", "\n", whole).removesuffix("\n").split("\n")
        found[kind.type] = [line or "\n" for line in lines] if whole else []
    return found


def ended(text: str) -> str:
    """The text with a line end, as all but a stream's last record have it."""
    return text if text.endswith(("\n", "\r")) else text + "\n"


@given(st.lists(OUTPUT, max_size=8), st.lists(st.integers(0, 3), max_size=4).map(tuple))
def test_each_stream_s_lines_are_those_of_its_whole_text(events: list[Event], sizes: tuple[int, ...]) -> None:
    whole = [type(event)(ended(event.text)) for event in events if isinstance(event, Stdout | Stderr)]
    frames = framed([*whole], sizes)
    for stream, lines in expected_lines([*whole]).items():
        assert [text for kind, text in (frame.line for frame in frames) if kind == stream] == lines


@given(st.lists(TEXTS, max_size=8))
def test_pieces_of_a_long_line_are_never_followed_by_an_empty_one(texts: list[str]) -> None:
    frames = framed([Stdout(text) for text in texts])
    pieces = "".join(frame.event["text"] for frame in frames)
    whole = re.sub("\r\n?", "\n", "".join(texts))
    assert pieces.replace("\n", "") == whole.replace("\n", "")
    assert [frame.line[1] for frame in frames].count("\n") == len(re.findall(r"^\n", whole, re.MULTILINE))


@given(st.lists(OUTPUT, max_size=8))
def test_an_id_comes_with_the_last_line_of_a_record_and_no_other(events: list[Event]) -> None:
    frames = framed(events)
    by_record: dict[int, list[int | None]] = {}
    for frame in frames:
        by_record.setdefault(frame.event["seq"], []).append(frame.seq)
    assert list(by_record) == sorted(by_record)
    for seq, ids in by_record.items():
        assert ids == [None] * (len(ids) - 1) + [seq]


@given(st.lists(OUTPUT, min_size=1, max_size=8), st.data())
def test_what_was_read_up_to_an_id_and_the_records_after_it_are_everything(
    events: list[Event], data: st.DataObject
) -> None:
    frames = framed(events)
    ids = [frame.seq for frame in frames if frame.seq is not None]
    if not ids:
        return
    last = data.draw(st.sampled_from(ids))
    read = frames[: [frame.seq for frame in frames].index(last) + 1]
    framing = CommandFrames(ServerSentEvents())
    framing.frames(Slice(1, records(events)[:last]))
    rest = parsed(framing.frames(Slice(last + 1, records(events)[last:])))
    assert [*read, *rest] == frames


def test_a_line_keeps_its_record_s_fields() -> None:
    late = encode(Stderr("a\nb\n", late=True), 7, 1234)
    assert parsed(CommandFrames(ServerSentEvents()).frames(Slice(7, [late]))) == [
        Frame(None, {"type": "stderr", "seq": 7, "timestamp": 1234, "late": True, "text": "a"}),
        Frame(7, {"type": "stderr", "seq": 7, "timestamp": 1234, "late": True, "text": "b"}),
    ]


def test_bare_json_has_no_ids() -> None:
    sent = CommandFrames(BareJson()).frames(Slice(1, records([Stdout("a\n\nb\n")])))
    assert [json.loads(line)["text"] for line in sent.decode().split("\n\n")[:-1]] == ["a", "\n", "b"]


def test_what_follows_a_truncation_begins_a_line() -> None:
    frames = framed([Stdout("cut inside"), Truncated("stdout", 10, 30), Stdout("\nlast\n")])
    assert [frame.event["text"] for frame in frames if frame.event["type"] == "stdout"] == ["cut inside", "\n", "last"]


@pytest.mark.parametrize(
    ("complete", "error", "types"),
    [
        (Complete(Status.SUCCEEDED, exit_code=0), None, ["init", "stdout", "execution_complete"]),
        (
            Complete(Status.FAILED, Reason.ERROR, exit_code=3),
            Error("CommandExecError", "3"),
            ["init", "stdout", "error"],
        ),
        (Complete(Status.FAILED, Reason.TIMEOUT), Error("CommandExecError", "-1"), ["init", "stdout", "error"]),
        (Complete(Status.CANCELLED), Error("CommandExecError", "-1"), ["init", "stdout", "error"]),
        (Complete(Status.CANCELLED), None, ["init", "stdout", "error"]),
    ],
)
def test_there_is_one_end_and_it_is_last(complete: Complete, error: Error | None, types: list[str]) -> None:
    tail: list[Event] = [complete] if error is None else [StatusChanged("error"), error, complete]
    frames = framed([Init("e", None), Stdout("a\n"), *tail])
    assert [frame.event["type"] for frame in frames] == types


def test_a_command_s_error_is_as_it_was_recorded() -> None:
    error = Error("CommandExecError", "3", ("exit status 3",))
    assert framed([error])[0].event["error"] == {
        "ename": "CommandExecError",
        "evalue": "3",
        "traceback": ["exit status 3"],
    }


def test_another_error_says_that_there_is_no_exit_code() -> None:
    assert framed([Error("KeyboardInterrupt", "cancelled", ("long",))])[0].event["error"] == {
        "ename": "CommandExecError",
        "evalue": "-1",
        "traceback": ["KeyboardInterrupt: cancelled"],
    }


def test_what_was_cancelled_before_it_ran_ends_with_an_error_too() -> None:
    (frame,) = framed([Complete(Status.CANCELLED)])
    assert (frame.seq, frame.event["error"]) == (
        1,
        {"ename": "CommandExecError", "evalue": "-1", "traceback": ["cancelled"]},
    )
