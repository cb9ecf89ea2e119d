"""The benchmarks' arithmetic and text, and that every row can be found. Nothing here measures time."""

from __future__ import annotations

import email
import email.policy
import json
import resource
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from benchmarks.bench import measure
from benchmarks.client import Answer, HttpClient, dechunked, events
from benchmarks.crowd import Crowd, Member, ended, room_for
from benchmarks.errors import NotMeasured, RowFailed
from benchmarks.measure import Figure, Samples, figure, interleave, percentile
from benchmarks.results import UNITS, Report, RowResult, read, row_result, write
from benchmarks.row import AtLeast, AtMost, Claim, Row
from benchmarks.rows import ROWS
from benchmarks.table import comparison, quantity, table
from benchmarks.transfer import MULTIPART, multipart
from benchmarks.workbench import Workbench

ROOT = Path(__file__).parent.parent


def _raise(_: Workbench) -> None:
    raise RowFailed("17 of 20 were LOST")


ROW = Row(
    "answer",
    "how soon it answers",
    "s",
    (Claim("execd", "floor", AtMost(1.5), note="p50"), Claim("execd", None, AtLeast(0.5)), Claim("execd", "floor")),
    _raise,  # type: ignore[arg-type]
)
ROUNDS: list[Samples] = [
    {"execd": [0.2, 0.1, 0.3], "floor": [0.1]},
    {"execd": [0.4], "floor": [0.4]},
    {"execd": [0.3, 0.3], "floor": [0.1]},
]


def report(*rows: RowResult) -> Report:
    return Report("2026-01-01T00:00:00+00:00", {"memory": "1 GiB"}, {"log_level": "error"}, rows)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.01, 1.0), (0.5, 50.0), (0.95, 95.0), (0.951, 96.0), (1.0, 100.0), (0.0, 1.0)]
)
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_a_figure_is_the_median_of_the_rounds_and_their_spread() -> None:
    found = figure(ROUNDS, "execd", 0.5)
    assert (found.median, found.low, found.high) == pytest.approx((0.3, 0.2, 0.4))
    assert figure(ROUNDS, "execd", 0.95).rounds == (0.3, 0.4, 0.3)


def test_a_ratio_is_taken_within_each_round() -> None:
    ratio = figure(ROUNDS, "execd", 0.5).over(figure(ROUNDS, "floor", 0.5))
    assert ratio.rounds == pytest.approx((2.0, 1.0, 3.0))
    assert ratio.median == pytest.approx(2.0)


def test_figures_of_different_runs_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Figure((1.0, 2.0)).over(Figure((1.0,)))


def test_every_take_has_its_turn_in_every_round_and_none_is_always_first() -> None:
    taken: list[str] = []

    def take(name: str) -> Samples:
        taken.append(name)
        return {name: [1.0]}

    told: list[str] = []
    rounds = interleave([lambda: take("a"), lambda: take("b"), lambda: take("c")], 3, told.append)
    assert taken == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert [sorted(found) for found in rounds] == [["a", "b", "c"]] * 3
    assert told[-1] == "round 3 of 3"


def test_a_goal_bounds_the_ratio_or_else_the_value() -> None:
    ratio, value, shown = row_result(ROW, ROUNDS).lines
    assert (ratio.met, ratio.goal) == (False, "<= 1.5x")
    assert (value.met, value.goal) == (False, ">= 500 ms")
    assert (shown.met, shown.goal) == (None, "")


@pytest.mark.parametrize(("goal", "met"), [(AtMost(2.0), True), (AtMost(1.9), False), (AtLeast(2.0), True)])
def test_the_bound_itself_meets_the_goal(goal: AtMost | AtLeast, met: bool) -> None:
    assert goal.met_by(2.0) is met


def test_the_table_says_plainly_what_is_met() -> None:
    lines = table(report(row_result(ROW, ROUNDS))).splitlines()
    assert "memory: 1 GiB" in lines
    assert "setting: log_level=error" in lines
    claims = lines[lines.index("answer: how soon it answers") + 1 :]
    assert " ".join(claims[0].split()) == "execd / floor, p50 300 ms 100 ms 2.00x (1.00-3.00) <= 1.5x NOT met"
    assert " ".join(claims[1].split()) == "execd 300 ms (200 ms - 400 ms) >= 500 ms NOT met"
    assert claims[2].endswith("not a goal")


def test_a_row_that_loses_something_fails_loudly() -> None:
    result = measure(ROW, 3, Workbench({}), lambda _: None)
    assert not result.lines
    assert report(result).failed
    assert "  FAILED: 17 of 20 were LOST" in table(report(result)).splitlines()


def test_a_row_that_this_machine_cannot_measure_says_what_it_lacks_and_fails_nothing() -> None:
    def lack(_: Workbench) -> None:
        raise NotMeasured("apt-get install nginx")

    result = measure(replace(ROW, open=lack), 3, Workbench({}), lambda _: None)  # type: ignore[arg-type]
    assert not result.lines
    assert not report(result).failed
    assert "  not measured: apt-get install nginx" in table(report(result)).splitlines()


def test_the_table_ends_with_how_many_goals_are_met_and_which_are_not() -> None:
    found = report(row_result(ROW, ROUNDS), RowResult("broken", "nothing", "MB", failure="lost"))
    assert found.goals == [("answer: execd / floor, p50 <= 1.5x", False), ("answer: execd >= 500 ms", False)]
    lines = table(found).splitlines()
    assert lines[lines.index("0 of 2 goals met, 2 NOT met") + 1 :] == [
        "  NOT met: answer: execd / floor, p50 <= 1.5x",
        "  NOT met: answer: execd >= 500 ms",
        "  no numbers: broken",
    ]


def test_a_claim_may_have_a_unit_of_its_own() -> None:
    row = replace(ROW, claims=(Claim("execd", None, AtMost(0.25), unit="%"), Claim("execd")))
    share, time = row_result(row, ROUNDS).lines
    assert (share.unit, share.goal, time.unit) == ("%", "<= 25 %", "s")
    shown = table(report(row_result(row, ROUNDS)))
    assert "(20.0 % - 40.0 %)" in shown
    assert "(200 ms - 400 ms)" in shown


def test_files_from_before_lines_had_units_are_read(tmp_path: Path) -> None:
    written = report(row_result(ROW, ROUNDS))
    write(written, tmp_path / "old.json")
    found = json.loads((tmp_path / "old.json").read_text())
    for line in found["rows"][0]["lines"]:
        del line["unit"]
    (tmp_path / "old.json").write_text(json.dumps(found))
    assert read(tmp_path / "old.json") == written


MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@MAKE
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["bench"], "-m benchmarks"),
        (["bench", "ROW=1+1"], "-m benchmarks --row 1+1"),
        (["bench", "ROW=1+1 new-context", "ROUNDS=3"], "-m benchmarks --row 1+1 --row new-context --rounds 3"),
        (["bench", "ARGS=--list"], "-m benchmarks --list"),
        (["bench-compare", "a.json", "b.json"], "-m benchmarks compare a.json b.json"),
        (["bench-compare", "A=a.json", "B=b.json"], "-m benchmarks compare a.json b.json"),
        (["bench-compare", "ARGS=a.json b.json"], "-m benchmarks compare a.json b.json"),
    ],
)
def test_what_make_does(given: list[str], expected: str) -> None:
    command = ["make", "--dry-run", "--no-print-directory", "--file", str(ROOT / "Makefile"), *given]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    [done] = [line for line in said.splitlines() if "-m benchmarks" in line]
    assert done.split("python ", 1)[1].split() == expected.split()


class Peer:
    """The other end of a client's connection, which has not been asked anything yet."""

    def __init__(self, listener: socket.socket) -> None:
        self._connection, _ = listener.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def answer(self, *pieces: bytes) -> None:
        """Send what a service would."""
        assert self._connection.recv(65536)
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        self._connection.sendall(head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces))
        self._connection.sendall(b"0\r\n\r\n")

    def refuse(self) -> None:
        """Send an error, which has no chunks and so no last one."""
        self._connection.sendall(b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nfull")


def test_a_crowd_reads_until_every_stream_has_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        gathered = Crowd([Member(stack.enter_context(HttpClient(url))) for _ in range(2)])
        one, other = stack.enter_context(Peer(listener)), stack.enter_context(Peer(listener))
        gathered.send("GET", [("/", None)] * 2)
        one.answer(b"data: 1\n\n", b"data: 2\n\n")
        other.answer(b"data: 3\n\n")
        gathered.read_until_all(ended, 10)
        gathered.close()
        assert [member.answer().body for member in gathered.members] == [b"data: 1\n\ndata: 2\n\n", b"data: 3\n\n"]
        assert all(member.ended >= member.began > 0 for member in gathered.members)


def test_a_crowd_does_not_wait_for_who_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with HttpClient(url) as client, Peer(listener) as peer:
            gathered = Crowd([Member(client)])
            peer.refuse()
            gathered.send("GET", [("/", None)])
            with pytest.raises(RowFailed, match="429"):
                gathered.read_until_all(ended, 10)
            gathered.close()


def test_more_descriptors_than_there_may_be_are_a_lack() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(NotMeasured, match="raise it"), room_for(2**40):
        pass
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.00351, "s", "3.51 ms"),
        (0.0351, "s", "35.1 ms"),
        (3.51, "s", "3,510 ms"),
        (9000.4, "1/s", "9,000 /s"),
        (12_340_000, "MB", "12.3 MB"),
        (0.002, "%", "0.20 %"),
    ],
)
def test_a_quantity_has_three_digits_that_count(value: float, unit: str, expected: str) -> None:
    assert quantity(value, unit) == expected


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = report(
        row_result(ROW, ROUNDS),
        RowResult("broken", "nothing", "MB", failure="lost"),
        RowResult("not here", "", "s", lack="nginx"),
    )
    write(written, tmp_path / "new" / "numbers.json")
    assert read(tmp_path / "new" / "numbers.json") == written


def test_a_comparison_shows_what_became_of_each_claim() -> None:
    twice = [{"execd": [value * 5 for value in found["execd"]], "floor": found["floor"]} for found in ROUNDS]
    before, after = row_result(ROW, ROUNDS), row_result(ROW, twice)
    shown = comparison(report(replace(before, lines=before.lines[:2])), report(after)).splitlines()
    assert shown[2].split()[-5:] == ["2.00x", "10.00x", "5.00x", "NOT", "met"]
    assert "new" in shown[4]
    same = comparison(report(before), report(before)).splitlines()
    assert "within the spread" in same[2]


def test_a_chunked_stream_is_put_together_again() -> None:
    body = b'data: {"type":"init"}\n\ndata: {"type":"stdout"}\n\n'
    raw = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:])
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
    answer = Answer(head, [raw[:5], raw[5:30], raw[30:]])
    assert dechunked(raw) == body == answer.body
    assert answer.status == 200
    assert [event["type"] for event in events(answer.body)] == ["init", "stdout"]


def test_an_upload_has_its_metadata_and_then_its_content() -> None:
    content = [b"\r\n--the", b"-boundary", b"\x00\xff\r\n"]
    body = b"".join(multipart('{"path": "/a"}', content))
    head = f"MIME-Version: 1.0\r\nContent-Type: {MULTIPART}\r\n\r\n".encode()
    metadata, file = email.message_from_bytes(head + body, policy=email.policy.HTTP).iter_parts()
    found = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in (metadata, file)
    ]
    assert found == [("metadata", b'{"path": "/a"}'), ("file", b"".join(content))]


def test_every_row_has_a_name_of_its_own_and_a_unit_that_can_be_shown() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.unit for row in ROWS} <= UNITS.keys()
    assert all(row.claims for row in ROWS)


def test_every_row_is_listed() -> None:
    command = [sys.executable, "-m", "benchmarks", "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [row.name for row in ROWS]


def test_an_unknown_row_is_refused_with_the_names_that_exist() -> None:
    command = [sys.executable, "-m", "benchmarks", "--row", "nothing"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no row is called nothing" in refused.stderr
    assert ROWS[0].name in refused.stderr
