"""Streams that break and are resumed, and journals that several read."""

from __future__ import annotations

from contextlib import ExitStack

from soak.answers import same
from soak.caller import Caller, printed, seqs_without_gaps
from tests.live.reading import Event, Stream, fetch, following, running

_LINES = 120
_CODE = f"import time\nfor number in range({_LINES}):\n    print(number, flush=True)\n    time.sleep(0.002)"
_TEXT = "".join(f"{number}\n" for number in range(_LINES))
_CURSORS = ("after_seq", "Last-Event-ID")


def resumed(caller: Caller) -> None:
    """A stream that breaks several times, each time picked up where it ended."""
    with running(caller.http, _CODE, id=caller.context) as stream:
        seen = _some(stream, caller.chance.randrange(1, 30))
        execution_id = stream.execution_id
    while seen[-1]["type"] != "execution_complete":
        how = caller.chance.choice(_CURSORS)
        with following(caller.http, execution_id, seen[-1]["seq"], how) as stream:
            seen += _some(stream, caller.chance.randrange(1, 80))
    seqs_without_gaps(seen)
    same(printed(seen), _TEXT, "a resumed stream")
    same(_plain(fetch(caller.http, execution_id)), _plain(seen), "the journal")


def shared(caller: Caller) -> None:
    """A run that three watch at once; one of them leaves."""
    with running(caller.http, _CODE, id=caller.context) as stream, ExitStack() as others:
        watching = [others.enter_context(following(caller.http, stream.execution_id)) for _ in range(2)]
        _some(watching[0], 5)
        watching[0].answer.close()
        first = [event for event in stream.rest() if event["type"] != "ping"]
        second = [event for event in watching[1].rest() if event["type"] != "ping"]
    same(_plain(second), _plain(first), "what another has watched")
    same(printed(first), _TEXT, "a watched stream")


def abandoned(caller: Caller) -> None:
    """A run whose client hangs up at once: it goes on, and its journal is whole."""
    with running(caller.http, _CODE, id=caller.context) as stream:
        execution_id = stream.execution_id
    events = fetch(caller.http, execution_id)
    seqs_without_gaps(events)
    same(printed(events), _TEXT, "the journal of an abandoned run")


def _some(stream: Stream, count: int) -> list[Event]:
    found: list[Event] = []
    for event in stream.events:
        if event["type"] != "ping":
            found.append(event)
        if len(found) == count:
            break
    return found


def _plain(events: list[Event]) -> list[Event]:
    return [{name: value for name, value in event.items() if name != "id"} for event in events]
