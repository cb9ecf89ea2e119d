"""The interrupt ladder."""

from __future__ import annotations

import pytest

from execd.kernel.ladder import Rung, Step, ladder


@pytest.mark.parametrize(("grace", "first"), [(2.0, 0.05), (0.05, 0.05), (0.01, 0.01)])
def test_every_rung_gets_its_time_and_the_last_one_all(grace: float, first: float) -> None:
    assert ladder(grace) == (
        Step(Rung.INTERRUPT, first),
        Step(Rung.NUDGE, grace),
        Step(Rung.INTERRUPT_AGAIN, grace),
        Step(Rung.KILL, None),
    )


def test_every_rung_is_on_the_ladder_once() -> None:
    assert [step.rung for step in ladder(1)] == list(Rung)
