"""Commands: how soon one has run, and how fast very many lines of it arrive."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.client import Answer, HttpClient
from benchmarks.errors import RowFailed
from benchmarks.floors.pipe import command_pipe
from benchmarks.measure import Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.workbench import Workbench

_RUNS = 100
_LINES = 2_000_000
_MANY_LINES = f"seq 1 {_LINES}"
_TEXT = re.compile(rb'"type":"stdout"[^}]*"text":"([^"]*)"')


@contextmanager
def _open_spawn(workbench: Workbench) -> Iterator[list[Take]]:
    with workbench.service() as service, service.client() as client:
        yield [
            lambda: {"execd": [_timed(client, "true")[0] for _ in range(_RUNS)]},
            lambda: {"subprocess": [_spawned() for _ in range(_RUNS)]},
        ]


@contextmanager
def _open_lines(workbench: Workbench) -> Iterator[list[Take]]:
    text = b"".join(b"%d\n" % number for number in range(1, _LINES + 1))
    with workbench.service() as service, service.client() as client:
        yield [
            lambda: {"execd": [_lines_over_http(client, text)]},
            lambda: {"pipe": [_lines_to_pipe(len(text))]},
        ]


def _timed(client: HttpClient, line: str) -> tuple[float, Answer]:
    client.refresh()
    started = time.perf_counter()
    answer = client.request("POST", "/command", {"command": line})
    seconds = time.perf_counter() - started
    if b'"type":"execution_complete"' not in answer.body[-500:]:
        raise RowFailed(f"{line!r} did not succeed: {answer.body[-500:].decode()}")
    return seconds, answer


def _spawned() -> float:
    started = time.perf_counter()
    subprocess.run(["bash", "-c", "true"], capture_output=True, check=True)
    return time.perf_counter() - started


def _lines_over_http(client: HttpClient, text: bytes) -> float:
    seconds, answer = _timed(client, _MANY_LINES)
    arrived = _TEXT.findall(answer.body)
    if arrived != text.split():
        raise RowFailed(
            f"{len(arrived)} lines arrived, not the {_LINES} that were printed, or not as they were printed"
        )
    return seconds


def _lines_to_pipe(expected: int) -> float:
    seconds, size = command_pipe(["bash", "-c", _MANY_LINES])
    if size != expected:
        raise RowFailed(f"the pipe carried {size} of {expected} bytes")
    return seconds


ROWS = (
    Row(
        "true-command",
        "how soon the command `true` has run",
        "s",
        (
            Claim("execd", "subprocess", AtMost(1.5), note="p50"),
            Claim("execd", "subprocess", share=0.95, note="p95"),
        ),
        _open_spawn,
    ),
    Row(
        "2m-lines-command",
        "how soon the 2,000,000 lines of a command are all there, an event each",
        "s",
        (Claim("execd", "pipe", AtMost(2.0)),),
        _open_lines,
    ),
)
