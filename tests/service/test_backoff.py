"""When something that has failed is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.service.backoff import Backoff

DAY = 86400


@pytest.mark.parametrize(
    ("failed", "seconds"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (12, 3600), (1000, 3600)]
)
def test_pauses_double_up_to_an_hour(failed: int, seconds: int) -> None:
    assert Backoff(5, DAY).next_at(0, failed, 1000, 0.5) == 1000 + seconds * 1000


@pytest.mark.parametrize(("chance", "ms"), [(0.0, 7500), (0.25, 8750), (0.5, 10000), (1.0, 12500)])
def test_they_are_not_all_the_same(chance: float, ms: int) -> None:
    assert Backoff(10, DAY).next_at(0, 1, 0, chance) == ms


@pytest.mark.parametrize(("asked", "seconds"), [(0, 5), (3, 5), (60, 60), (10**6, 3600)])
def test_who_asks_for_a_longer_one_gets_it_within_reason(asked: float, seconds: int) -> None:
    assert Backoff(5, DAY).next_at(0, 1, 0, 0.5, asked) == seconds * 1000


@pytest.mark.parametrize(
    ("now", "expected"), [(99_000, 100_000), (99_999, 100_000), (100_000, None), (200_000, None), (10_000, 20_000)]
)
def test_the_last_time_is_the_end(now: int, expected: int | None) -> None:
    assert Backoff(10, 100).next_at(0, 1, now, 0.5) == expected


def test_no_time_at_all_is_one_attempt() -> None:
    assert Backoff(5, 0).next_at(1000, 1, 1000, 0.5) is None


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0.001, 3600))
def test_it_always_comes_to_an_end(failed: int, chance: float, first: float) -> None:
    now, attempts = 0, 0
    while (next_at := Backoff(first, 3600, longest=60).next_at(0, failed + attempts, now, chance)) is not None:
        assert now < next_at <= 3_600_000
        now, attempts = next_at, attempts + 1
        if attempts > 200:
            now = 3_600_000
