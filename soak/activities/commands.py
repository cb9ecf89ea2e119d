"""Commands: in the foreground, in the background, and stopped."""

from __future__ import annotations

import time

from soak.answers import holds, same
from soak.caller import Caller
from tests.live.commanding import command, commanding, exit_of, in_background, lines, log_of, status_of
from tests.live.reading import Stream

_PATIENCE = 30


def foreground(caller: Caller) -> None:
    """Its output on both streams, and its exit code."""
    word, code = caller.word(), caller.chance.randrange(1, 100)
    events = command(caller.http, f"seq 1 500; echo {word} >&2; exit {code}")
    same(lines(events), [str(number) for number in range(1, 501)], "what a command printed")
    same((lines(events, "stderr"), exit_of(events)), ([word], code), "the end of a command")


def background(caller: Caller) -> None:
    """Its log, read piece by piece until it has ended."""
    word = caller.word()
    command_id = in_background(caller.http, f"for n in 1 2 3 4 5; do echo {word} $n; sleep 0.05; done; exit 3")
    text, cursor, deadline = "", 0, time.monotonic() + _PATIENCE
    while status_of(caller.http, command_id)["running"]:
        holds(time.monotonic() < deadline, "a command in the background does not end", text)
        piece, cursor = log_of(caller.http, command_id, cursor)
        text += piece
        time.sleep(0.05)
    text += log_of(caller.http, command_id, cursor)[0]
    same(text, "".join(f"{word} {number}\n" for number in range(1, 6)), "the log of a command")
    same(status_of(caller.http, command_id)["exit_code"], 3, "the exit code of a command")


def stopped(caller: Caller) -> None:
    """One that is stopped, with all that it has started."""
    with commanding(caller.http, "sleep 600 & sleep 600 & echo on; wait") as stream:
        stream.until(lambda event: event["type"] == "stdout")
        _stop(caller, stream)


def _stop(caller: Caller, stream: Stream) -> None:
    answer = caller.http.delete("/command", params={"id": stream.execution_id})
    same(answer.status_code, 200, f"DELETE of a command ({answer.text})")
    same(exit_of([event for event in stream.rest() if event["type"] != "ping"]), -1, "the end of a command")
