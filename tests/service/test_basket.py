"""How much a run's artifacts may be."""

from __future__ import annotations

import pytest

from execd.service.basket import ArtifactLimits, Basket, Gathered, OutOfTime, Why
from execd.service.media import media_of
from execd.store.blobs import Blob

LIMITS = ArtifactLimits(count=3, size=10, run_size=20, seconds=5)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def basket_with(*sizes: int, clock: Clock | None = None) -> Basket:
    basket = Basket(LIMITS, clock or Clock())
    for size in sizes:
        basket.add(Gathered("a", media_of("a", b""), Blob("00", size)))
    return basket


@pytest.mark.parametrize(
    ("sizes", "next_size", "why"),
    [
        ([], 10, None),
        ([], 11, Why.SIZE),
        ([1, 1], 10, None),
        ([1, 1, 1], 0, Why.COUNT),
        ([10, 1], 9, None),
        ([10, 1], 10, Why.RUN_SIZE),
    ],
)
def test_what_there_is_room_for(sizes: list[int], next_size: int, why: Why | None) -> None:
    assert basket_with(*sizes).refusal(next_size) is why


def test_time_ends() -> None:
    clock = Clock()
    basket = basket_with(clock=clock)
    basket.hurry()
    clock.now += LIMITS.seconds
    assert basket.refusal(1) is Why.TIME
    with pytest.raises(OutOfTime):
        basket.hurry()


def test_the_next_one_may_have_what_is_left() -> None:
    assert basket_with().most == 10
    assert basket_with(10, 7).most == 3


def test_nothing_left_out_needs_no_notice() -> None:
    assert basket_with(1).notices() == []


def test_one_notice_a_reason_with_its_figures() -> None:
    basket = basket_with(1)
    basket.leave_out(Why.SIZE, size=11)
    basket.leave_out(Why.SIZE, size=12)
    basket.leave_out(Why.UNSEEN, count=0)
    sized, unseen = (notice.payload() for notice in basket.notices())
    assert sized == {
        "text": "2 of this run's artifacts were left out: one may have 10 bytes",
        "stream": "artifacts",
        "dropped_bytes": 23,
        "total_bytes": 24,
        "dropped_count": 2,
    }
    assert unseen["text"].startswith("artifacts of this run were left out: too much changed")
