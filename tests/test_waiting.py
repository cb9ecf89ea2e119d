"""Occasions: waited for, told of, and the first of several."""

from __future__ import annotations

import anyio
import pytest

from execd.waiting import Occasion, first_of

pytestmark = pytest.mark.anyio


async def test_who_is_told_is_told_once_and_only_while_he_listens() -> None:
    happened, told = Occasion(), []
    with happened.telling(lambda: told.append("too early")):
        pass
    with happened.telling(lambda: told.append("told")):
        happened.set()
        happened.set()
        assert told == ["told"]


async def test_who_comes_later_is_told_at_once() -> None:
    happened, told = Occasion(), []
    happened.set()
    with happened.telling(lambda: told.append("told")):
        assert told == ["told"]


async def test_waiting_for_what_has_happened_lets_others_run() -> None:
    happened, ran = Occasion(), []
    happened.set()
    async with anyio.create_task_group() as group:

        async def other() -> None:
            ran.append("other")

        group.start_soon(other)
        await happened.wait()
        assert ran == ["other"]


async def test_the_first_of_several_is_enough() -> None:
    never, soon = Occasion(), Occasion()
    async with anyio.create_task_group() as group:
        group.start_soon(first_of, never, soon)
        await anyio.wait_all_tasks_blocked()
        soon.set()
    await first_of(never, soon)


async def test_waiting_for_several_can_be_given_up() -> None:
    never = Occasion()
    with anyio.move_on_after(0.01) as patience:
        await first_of(never, Occasion())
    assert patience.cancelled_caught
    never.set()
