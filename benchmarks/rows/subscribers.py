"""A thousand clients that follow one run while it prints: each has every event, in order."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.client import events
from benchmarks.crowd import Crowd, Member, begun, crowd, ended
from benchmarks.errors import RowFailed
from benchmarks.gate import Gate
from benchmarks.measure import Samples, Take
from benchmarks.processes import cpu_seconds, cpu_shares, descriptors, forget_peak, peak_rss, rss, threads
from benchmarks.row import Claim, Row
from benchmarks.service import Interpreter, Service, check_success
from benchmarks.workbench import Workbench

_SUBSCRIBERS = 1000
_PRINTS = 2000
_SECONDS = 300.0
_REST_SECONDS = 6.0
# It is in no journal: each stream has its own.
_PING = re.compile(rb'data: \{"type":"ping"[^\n]*\n\n')


@contextmanager
def _open(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service() as service, service.interpreter() as interpreter:
        yield [
            lambda: {"one subscriber": [_followed(service, interpreter, 1)["last has the end"][0]]},
            lambda: _followed(service, interpreter, _SUBSCRIBERS),
        ]


def _followed(service: Service, interpreter: Interpreter, count: int) -> Samples:
    gate = Gate(service)
    code = f"{gate.waiting}\nfor i in range({_PRINTS}): print(i, flush=True)"
    with crowd(service, 1) as author, crowd(service, count) as followers:
        author.send("POST", [("/code", interpreter.order(code))])
        author.read_until_all(begun, _SECONDS)
        path = f"/code/executions/{author.members[0].answer().header('execd-execution-id')}/events"
        before = rss(service.pid)
        forget_peak(service.pid)
        asked = time.perf_counter()
        followers.send("GET", [(path, None)] * count)
        followers.read_until_all(begun, _SECONDS)
        connected = time.perf_counter()
        # Nothing but pings: one every three seconds to each.
        waiting = cpu_shares({"server": [service.pid]}, _REST_SECONDS)["server"]
        open_files, open_threads = descriptors(service.pid), threads(service.pid)
        cpu_before = cpu_seconds(service.pid)
        gate.open()
        opened = time.perf_counter()
        followers.read_until_all(ended, _SECONDS)
        author.read_until_all(ended, _SECONDS)
        _check(author.members[0], followers)
        return {
            "all connected": [connected - asked],
            "last has the end": [max(member.ended for member in followers.members) - opened],
            "first has the end": [min(member.ended for member in followers.members) - opened],
            "server CPU for an event of one": [(cpu_seconds(service.pid) - cpu_before) / count / _PRINTS],
            "server while they wait": [waiting],
            "growth of the server": [peak_rss(service.pid) - before],
            "descriptors of the server": [open_files],
            "threads of the server": [open_threads],
        }


def _check(author: Member, followers: Crowd) -> None:
    answer = author.answer()
    check_success(answer)
    text = "".join(event["text"] for event in events(answer.body) if event["type"] == "stdout")
    if text.split() != [str(i) for i in range(_PRINTS)]:
        raise RowFailed("the run itself has lost output")
    wanted = _PING.sub(b"", answer.body)
    wrong = sum(_PING.sub(b"", member.answer().body) != wanted for member in followers.members)
    if wrong:
        raise RowFailed(f"{wrong} of {len(followers.members)} subscribers have LOST events, or got others")


ROWS = (
    Row(
        "1000-subscribers",
        f"how late the last of {_SUBSCRIBERS:,} that follow one run has all of its {_PRINTS:,} flushed prints",
        "s",
        (
            Claim("all connected"),
            Claim("last has the end", "one subscriber"),
            Claim("first has the end", "one subscriber"),
            Claim("server CPU for an event of one", unit="us"),
            Claim("server while they wait", unit="%"),
            Claim("growth of the server", unit="MB"),
            Claim("descriptors of the server", unit="n"),
            Claim("threads of the server", unit="n"),
        ),
        _open,
        rounds=1,
    ),
)
