"""Whose end was one for want of memory."""

from __future__ import annotations

import pytest

from execd.warden.kills import RECENT_SECONDS, Kills

LATER = RECENT_SECONDS + 1

# What happens, as (seconds since the step before, the counter, None for a process that starts or whether an end is
# violent), and for the ends what is to be said.
STORIES: dict[str, tuple[list[tuple[float, int, bool | None]], list[bool]]] = {
    "killed by hand": ([(0, 0, True)], [False]),
    "killed by the machine": ([(0, 1, True)], [True]),
    "one kill explains one end": ([(0, 1, True), (0, 1, True)], [True, False]),
    "another starts between the kill and the end": ([(0, 1, None), (1, 1, None), (1, 1, True)], [True]),
    "another ends by itself after it": ([(0, 1, None), (1, 1, False), (0, 1, True)], [False, False]),
    "its child was killed long ago": ([(0, 1, None), (LATER, 1, None), (0, 1, True)], [False]),
    "its child was killed long ago, and nobody looked since": ([(0, 1, None), (LATER, 1, True)], [False]),
    "again, long after": ([(0, 1, True), (LATER, 2, True)], [True, True]),
    "an old one, and then a new one": ([(0, 1, None), (LATER, 2, True)], [True]),
}


@pytest.mark.parametrize("name", STORIES)
def test_whose_end_it_was(name: str) -> None:
    now = 100.0
    kills = Kills(lambda: now)
    said = []
    for pause, count, violent in STORIES[name][0]:
        now += pause
        if violent is None:
            kills.notice(count)
        else:
            said.append(kills.explain(count, violent=violent))
    assert said == STORIES[name][1]
