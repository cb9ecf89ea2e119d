"""The soak's judgement, in tables, and that a short one passes. Nothing here measures time."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from soak.activities import ACTIVITIES, Activity
from soak.answers import Wrong, same
from soak.bounds import BOUNDS, MB, Count, Memory
from soak.caller import Caller
from soak.gate import Gate
from soak.judgement import Sample, allowed, judge, slope_of
from soak.progress import Progress
from soak.quiet import Rest, settled
from soak.report import Report, bound_of, text, write
from soak.schedule import Schedule
from soak.service_state import descriptor_kinds
from soak.soak import Order, Soak
from soak.tally import Failure, Tally

ROUND = 35.0  # seconds between two looks in ten minutes
RUNS = 300  # in that time, on a slow machine


def samples(name: str, values: Sequence[float], runs: int = RUNS) -> list[Sample]:
    return [Sample(150 + ROUND * number, runs * number, {name: float(value)}) for number, value in enumerate(values)]


def leak(name: str, values: Sequence[float], runs: int = RUNS) -> str:
    [verdict] = judge(samples(name, values, runs), BOUNDS)
    return verdict.leak


def ten_minutes(first: float, per_run: float, noise: float = 0) -> list[float]:
    """What a soak of ten minutes sees of something that leaks `per_run`, with noise of so much up or down."""
    chance = random.Random(1)
    return [first + per_run * RUNS * number + chance.uniform(-noise, noise) for number in range(13)]


COUNTS: list[tuple[str, str, Sequence[float], str]] = [
    ("steady", "processes", [9] * 13, ""),
    ("one descriptor in a hundred runs", "service pidfds", [n * 3 for n in range(13)], "36 more"),
    ("one descriptor in three hundred runs", "service other descriptors", list(range(13)), "12 more"),
    ("one file of the store in three hundred runs", "service store files", list(range(13)), "12 more"),
    ("one socket in a thousand runs", "service sockets", [30 + n // 3 for n in range(13)], "4 more"),
    ("a pool that fills", "service store files", [5, 7, 9, 11, 11, 11, 13, 11, 11, 13, 11, 11, 11], ""),
    ("threads that come and go", "service threads", [9, 12, 8, 14, 9, 7, 10, 16, 9, 9, 12, 8, 9], ""),
    (
        "a thread now and then",
        "service threads",
        [8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 11, 12, 12],
        "grows at every look",
    ),
    ("a process that is left", "processes", [9] * 12 + [10], "1 more"),
    ("a zombie", "zombies", [0] * 12 + [1], "1 more"),
    ("a mount", "mounts", [0] * 12 + [2], "2 more"),
    ("fewer than at first", "control groups", [6] + [5] * 12, ""),
]


@pytest.mark.parametrize(("name", "values", "wanted"), [row[1:] for row in COUNTS], ids=[row[0] for row in COUNTS])
def test_counts(name: str, values: Sequence[float], wanted: str) -> None:
    assert leak(name, values) == wanted


MEMORY: list[tuple[str, str, Sequence[float], str]] = [
    ("steady, with noise", "service memory", ten_minutes(150 * MB, 0, 1 * MB), ""),
    ("a kilobyte a run", "service memory", ten_minutes(150 * MB, 1024), "1024 bytes a run"),
    ("a kilobyte a run, in the warden", "warden memory", ten_minutes(10 * MB, 1024), "1024 bytes a run"),
    ("a kilobyte a run, in the zygote", "zygote memory", ten_minutes(20 * MB, 1024), "1024 bytes a run"),
    ("twenty kilobytes a run", "service memory", ten_minutes(150 * MB, 20480), "too much more"),
    ("caches that fill at first", "service memory", [150 * MB + 10 * MB * (1 - 0.3**n) for n in range(13)], ""),
    ("one peak", "service memory", [150 * MB] * 7 + [190 * MB] + [150 * MB] * 5, ""),
]


@pytest.mark.parametrize(("name", "values", "wanted"), [row[1:] for row in MEMORY], ids=[row[0] for row in MEMORY])
def test_memory(name: str, values: Sequence[float], wanted: str) -> None:
    assert leak(name, values) == wanted


def test_a_leak_is_found_in_noise() -> None:
    assert leak("service memory", ten_minutes(150 * MB, 1024, 0.3 * MB)).endswith("bytes a run")


def test_a_short_soak_judges_no_slopes_but_still_counts() -> None:
    assert leak("service memory", ten_minutes(150 * MB, 4096), runs=30) == ""
    assert leak("service threads", [8, 9, 10, 11, 12], runs=30) == ""
    assert leak("processes", [9, 10], runs=30) == "1 more"
    assert leak("service memory", [100 * MB, 150 * MB], runs=30) == "too much more"


def test_a_slope_is_not_moved_by_a_few_odd_points() -> None:
    points = [(float(n), 2.0 * n) for n in range(10)]
    points[3] = (3.0, 500.0)
    assert slope_of(points) == pytest.approx(2.0, rel=0.1)


def test_what_is_not_in_every_sample_is_not_judged() -> None:
    found = [*samples("processes", [1]), *samples("zombies", [1])]
    assert judge(found, BOUNDS) == []
    assert judge([], BOUNDS) == []


def test_what_is_allowed_is_the_first_with_the_slack() -> None:
    assert allowed(samples("service sockets", [30, 99]), BOUNDS) == {"service sockets": 32.0}
    assert allowed([], BOUNDS) == {}


def test_every_bound_is_in_the_readme() -> None:
    readme = (Path(__file__).parent.parent / "soak" / "README.md").read_text()
    rows = [f"| {name} | {bound_of(bound)} |" for name, bound in BOUNDS.items()]
    assert [row for row in rows if row not in readme] == []
    names = [activity.name for activity in ACTIVITIES]
    assert len(set(names)) == len(names)
    assert [module for module in {name.partition(".")[0] for name in names} if f"`{module}`" not in readme] == []


@pytest.mark.parametrize("minutes", [0.1, 0.5, 1, 10, 60])
def test_the_minutes_are_shared_out(minutes: float) -> None:
    schedule = Schedule.of(minutes)
    assert 0 < schedule.warm_up < schedule.until < minutes * 60
    assert schedule.round <= 60
    looks = 1 + (schedule.until - schedule.warm_up) / schedule.round
    assert looks > 2


def test_a_quiet_point_waits_until_counts_stand_still_and_are_allowed() -> None:
    seen = iter([{"a": 5.0}, {"a": 4.0}, *[{"a": 3.0}] * 9])
    assert settled(lambda: next(seen), {"a": 3.0}, Rest(0.5, 60)) == {"a": 3.0}
    assert settled(lambda: {"a": 7.0}, {"a": 3.0}, Rest(0.1, 0.5)) == {"a": 7.0}


def test_clients_pass_the_gate_while_it_is_open() -> None:
    gate = Gate(2)
    passed: list[bool] = []

    def client() -> None:
        while gate.passed(lambda: None):
            passed.append(True)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert gate.close(30)
    assert passed == []
    gate.open()
    assert gate.close(30)
    gate.end()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_gate_says_when_somebody_does_not_come_back() -> None:
    gate = Gate(1)
    assert not gate.close(0.01)
    gate.leave()
    assert gate.close(0.01)


def report(tally: Tally, found: Sequence[Sample], *remains: str) -> Report:
    verdicts = tuple(judge(found, BOUNDS))
    return Report("2026-01-01T00:00:00+00:00", {}, {}, 10, 7, 4, False, tally, tuple(found), verdicts, remains)


def test_a_report_fails_for_a_leak_a_failure_and_what_is_left(tmp_path: Path) -> None:
    fine, leaking = samples("processes", [9, 9]), samples("processes", [9, 11])
    tally = Tally()
    tally.done("runs.value", 0.05)
    assert report(tally, fine).passed
    assert not report(tally, fine[:1]).passed
    assert not report(tally, leaking).passed
    assert "LEAKS: 2 more" in text(report(tally, leaking))
    assert not report(tally, fine, "process 7 is left").passed
    assert "LEFT: process 7 is left" in text(report(tally, fine, "process 7 is left"))
    tally.wrong(Failure("runs.value", 1, 3.0, "lost"))
    failed = report(tally, fine)
    assert not failed.passed
    assert text(failed).splitlines()[-1] == "FAILED"
    write(failed, tmp_path / "new" / "numbers.json")
    read = json.loads((tmp_path / "new" / "numbers.json").read_text())
    assert (read["passed"], read["seed"], read["operations"]["runs.value"]["failed"]) == (False, 7, 1)


def test_a_report_of_a_leak_names_what_was_opened() -> None:
    first, last = (
        Sample(at, 0, {"service other descriptors": count}, {"socket": 3, "/x/s-1": count})
        for at, count in ((1.0, 2), (9.0, 7))
    )
    lines = text(report(Tally(), [first, last])).splitlines()
    assert [line for line in lines if line.startswith("NEW")] == ["NEW DESCRIPTOR of the service: /x/s-1 (5)"]
    assert "NEW" not in text(report(Tally(), [first, first]))


def test_descriptors_are_told_by_what_they_are(tmp_path: Path) -> None:
    before = descriptor_kinds(os.getpid())
    (tmp_path / "execd.db").touch()
    with (tmp_path / "execd.db").open(), socket.socket(), Path("/dev/null").open("rb"):
        new = descriptor_kinds(os.getpid()) - before
    assert new == {"store files": 1, "sockets": 1, "other descriptors": 1}


def test_an_answer_that_is_wrong_is_shown() -> None:
    with pytest.raises(Wrong, match="a value was 4, not 5"):
        same(4, 5, "a value")


SHORT = ("runs", "streams", "files", "commands", "looks")


def soak(*activities: Activity, patience: float) -> Report:
    # No kernel waits for the next context, so that none need be waited for.
    settings = {"isolation": "process", "warm_kernels": "0"}
    return Soak(Order(0.05, 1, 2, settings, activities, Rest(0.5, patience)), Progress()).run()


def test_a_short_soak_passes(tmp_path: Path) -> None:
    found = soak(*(activity for activity in ACTIVITIES if activity.name.partition(".")[0] in SHORT), patience=10)
    assert found.passed, text(found)
    assert found.tally.operations > 0
    assert len(found.samples) > 1


def leaves_a_context(caller: Caller) -> None:
    caller.new_context()


class AnswersWrongly:
    """An activity that is right in all but its first call."""

    __name__ = "answers_wrongly"

    def __init__(self) -> None:
        self.wanted = ["43\n"]

    def __call__(self, caller: Caller) -> None:
        """Ask for a product."""
        same(caller.printed("print(6 * 7)"), self.wanted.pop() if self.wanted else "42\n", "the product")


def test_a_soak_fails_for_what_is_left_and_for_a_wrong_answer() -> None:
    found = soak(Activity(leaves_a_context, 1), Activity(AnswersWrongly(), 1), patience=1)
    assert not found.passed
    leaks = {verdict.resource for verdict in found.verdicts if verdict.leak}
    assert {"processes", "service sockets", "runtime files"} <= leaks
    assert "the product was '42\\n', not '43\\n'" in text(found)
    assert found.remains == ()


def test_what_there_is_is_listed() -> None:
    command = [sys.executable, "-m", "soak", "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [activity.name for activity in ACTIVITIES]


def test_an_unknown_activity_is_refused() -> None:
    command = [sys.executable, "-m", "soak", "--only", "nothing"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, "there is no activity nothing" in refused.stderr) == (2, True)


@pytest.mark.parametrize("bound", [Count(3), Memory(4 * MB, 200), None])
def test_a_bound_can_be_said(bound: Count | Memory | None) -> None:
    assert bound_of(bound) in ("+3", "+4 MB, 200 B a run", "not judged")
