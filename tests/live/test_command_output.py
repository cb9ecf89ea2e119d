"""What commands print: every byte of it, in order, however much and however slowly it is read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest

from tests.live.commanding import assert_long_lines_arrive, command, commanding, exit_of, lines
from tests.live.reading import fetch, of_type, says, text_of
from tests.live.waiting import eventually
from tests.running_service import RunningService

MIB = 1024 * 1024
MANY = 2_000_000
ALL_OF_THEM = "".join(f"{number}\n" for number in range(1, MANY + 1))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (r"printf 'a\nb\n'", ["a", "b"]),
        (r"printf 'a\n\n\nb'", ["a", "\n", "\n", "b"]),
        (r"printf '10%%\r50%%\r100%%\n'", ["10%", "50%", "100%"]),
        (r"printf '10%%\r'; sleep 0.1; printf '\nnext\n'", ["10%", "next"]),
        (r"printf 'a\r\nb\r\n'", ["a", "b"]),
        (r"printf 'h\303'; sleep 0.1; printf '\251llo\n'", ["hé" + "llo"]),
        (r"printf 'a\377b\300\n\360\237\n'", ["a\ufffdb\ufffd", "\ufffd"]),
        (r"printf 'a\342\200\250b\302\205c\014d\034e\n'", ["a\u2028b\u0085c\x0cd\x1ce"]),
        (r"printf 'a\000b\\\\n\"\n'", ['a\0b\\\\n"']),
        ("printf ''", []),
    ],
)
def test_lines(client: httpx.Client, line: str, found: list[str]) -> None:
    events = command(client, line)
    assert lines(events) == found
    assert all(event["text"] for event in of_type(events, "stdout"))


def test_a_line_comes_when_it_is_written(client: httpx.Client) -> None:
    with commanding(client, "echo now; sleep 600") as stream:
        stream.until(says("now"))
        client.delete("/command", params={"id": stream.execution_id})


def test_both_streams_keep_their_order(client: httpx.Client) -> None:
    events = command(client, "for i in $(seq 1 3000); do echo o$i; echo e$i >&2; done")
    assert lines(events) == [f"o{number}" for number in range(1, 3001)]
    assert lines(events, "stderr") == [f"e{number}" for number in range(1, 3001)]


def test_long_lines_on_both_streams_and_broken_ends_arrive_exactly(client: httpx.Client) -> None:
    assert_long_lines_arrive(client)


@pytest.mark.parametrize("end", ["", r"printf '\r\n'; ", "echo; "])
def test_a_line_of_megabytes_comes_in_pieces(client: httpx.Client, end: str) -> None:
    found = lines(command(client, f"head -c 3000000 /dev/zero | tr '\\0' x; {end}echo last"))
    assert "".join(found) == "x" * 3_000_000 + "last"
    assert all(len(text) < 2 * MIB for text in found)
    assert "\n" not in found


def test_what_a_background_child_prints_after_the_end_is_kept(client: httpx.Client) -> None:
    with commanding(client, "(sleep 0.3; echo late; echo later) & echo early") as stream:
        events = stream.rest()
    assert lines(events) == ["early"]
    assert exit_of(events) == 0
    end = events[-1]["seq"]
    eventually(lambda: "later" in text_of(fetch(client, stream.execution_id, end)))
    late = fetch(client, stream.execution_id, end)
    assert text_of(late) == "late\nlater\n"
    assert all(event["late"] for event in late)


class TestMuchOutput:
    def test_two_million_lines(self, client: httpx.Client) -> None:
        with commanding(client, f"seq 1 {MANY}") as stream:
            sent = stream.answer.read()
        assert _texts(sent) == ALL_OF_THEM.encode().split()
        assert b'"type":"execution_complete"' in sent[-300:]

    def test_with_no_reader_nothing_is_lost_and_memory_stays(
        self, client: httpx.Client, service: RunningService
    ) -> None:
        with commanding(client, f"sleep 0.2; seq 1 {MANY}") as stream:
            command_id = stream.execution_id
        grown = _growth(service, lambda: _status(client, command_id) != "running")
        assert grown < 48 * MIB
        assert text_of(fetch(client, command_id)) == ALL_OF_THEM

    def test_with_a_reader_that_stops_in_the_middle(self, client: httpx.Client, service: RunningService) -> None:
        with commanding(client, f"seq 1 {MANY}") as stream:
            chunks = stream.answer.iter_bytes()
            first = next(chunks)
            grown = _growth(service, lambda: _status(client, stream.execution_id) != "running")
            assert _texts(b"".join([first, *chunks])) == ALL_OF_THEM.encode().split()
        assert grown < 64 * MIB

    def test_empty_lines_do_not_swell(self, client: httpx.Client, service: RunningService) -> None:
        with commanding(client, "yes '' | head -c 2000000") as stream:
            chunks = stream.answer.iter_bytes()
            first = next(chunks)
            grown = _growth(service, lambda: _status(client, stream.execution_id) != "running")
            assert _texts(b"".join([first, *chunks])) == [rb"\n"] * 2_000_000
        assert grown < 160 * MIB

    def test_beyond_the_budget_head_and_tail_are_kept_and_the_end_is_last(self, tight: httpx.Client) -> None:
        events = command(tight, "seq 1 100000; exit 5")
        assert exit_of(events) == 5
        texts = lines(events)
        (truncated,) = of_type(events, "truncated")
        at = events.index(truncated)
        before, after = lines(events[:at]), lines(events[at:])
        assert before == [str(number) for number in range(1, len(before) + 1)]
        assert after == [str(number) for number in range(100_001 - len(after), 100_001)]
        left_out = sum(len(f"{number}\n") for number in range(len(before) + 1, 100_001 - len(after)))
        assert (truncated["dropped_bytes"], truncated["total_bytes"]) == (left_out, 588_895)
        assert len(texts) == len(before) + len(after)


def _texts(sent: bytes) -> list[bytes]:
    """The encoded texts of very many events."""
    return re.findall(rb'"type":"stdout"[^}]*"text":"([^"]*)"', sent)


def _status(client: httpx.Client, command_id: str) -> Any:
    return client.get(f"/code/executions/{command_id}").json()["status"]


def _growth(service: RunningService, ended: Callable[[], bool]) -> int:
    """By how many bytes the service grew at most until it was so."""
    process = psutil.Process(service.process.pid)
    first = most = process.memory_info().rss
    while not ended():
        most = max(most, process.memory_info().rss)
        time.sleep(0.01)
    return int(most - first)
