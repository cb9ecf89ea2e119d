"""When the time of a sandbox is over."""

from __future__ import annotations

import pytest

from execd.service.expiry import LONGEST_NAP, Standing, bounded, due, expires_at, next_look
from execd.service.record import EndReason

NOW = 1_000_000
OLD, IDLE = EndReason.TOO_OLD, EndReason.IDLE


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (Standing(None, None, 0), None),
        (Standing(NOW + 1, None, 0), None),
        (Standing(NOW, None, NOW), OLD),
        (Standing(NOW - 1, None, NOW, busy=True), OLD),
        (Standing(NOW - 1, None, NOW, paused=True), OLD),
        (Standing(None, 1000, NOW - 999), None),
        (Standing(None, 1000, NOW - 1000), IDLE),
        (Standing(None, 1000, NOW - 5000, busy=True), None),
        (Standing(None, 1000, NOW - 5000, paused=True), None),
        (Standing(NOW, 1000, NOW - 5000), OLD),
        (Standing(NOW + 1, 1000, NOW - 5000), IDLE),
    ],
)
def test_whose_time_is_over(standing: Standing, reason: EndReason | None) -> None:
    assert due(standing, NOW) is reason


@pytest.mark.parametrize(
    ("standings", "seconds"),
    [
        ([], LONGEST_NAP),
        ([Standing(None, None, 0)], LONGEST_NAP),
        ([Standing(NOW + 2500, None, 0)], 2.5),
        ([Standing(NOW + 2500, None, 0), Standing(None, 2000, NOW - 1000)], 1.0),
        ([Standing(None, 2000, NOW - 1000, busy=True)], 2.0),
        ([Standing(None, 2000, NOW - 1000, paused=True)], LONGEST_NAP),
        ([Standing(NOW - 1, None, 0)], 0.0),
        ([Standing(NOW + 10**9, None, 0)], LONGEST_NAP),
    ],
)
def test_when_to_look_again(standings: list[Standing], seconds: float) -> None:
    assert next_look(standings, NOW) == seconds


@pytest.mark.parametrize(
    ("asked", "default", "most", "given"),
    [
        (None, 300, 0, 300),
        (None, 0, 0, None),
        (None, 300, 60, 60),
        (None, 0, 60, 60),
        (0, 300, 0, None),
        (0, 300, 60, 60),
        (10, 300, 60, 10),
        (61, 300, 60, 60),
        (61, 300, 0, 61),
    ],
)
def test_how_long_a_sandbox_gets(asked: float | None, default: float, most: float, given: float | None) -> None:
    assert bounded(asked, default, most) == given


def test_an_end_is_counted_from_its_beginning() -> None:
    assert (expires_at(1.5, NOW), expires_at(None, NOW)) == (NOW + 1500, None)
