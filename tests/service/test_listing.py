"""Which sandboxes a list shows, and in which pages."""

from __future__ import annotations

import pytest

from execd.service.listing import Filter, after, page_of, place_of
from execd.service.record import Network, SandboxRecord, SandboxRequest, SandboxStatus, TimeoutAction

RUNNING, PAUSED = SandboxStatus.RUNNING, SandboxStatus.PAUSED


def record(number: int, image: str = "base", status: SandboxStatus = RUNNING, **metadata: object) -> SandboxRecord:
    """A sandbox that was made as the `number`-th."""
    return SandboxRecord(
        id=f"sb_{number}",
        wanted=SandboxRequest(image=image),
        status=status,
        created_at=1000 + number // 2,
        timeout=None,
        timeout_action=TimeoutAction.DELETE,
        idle_timeout=None,
        metadata=metadata,
        network=Network(),
    )


ALL = [record(0, a="1"), record(1, "node", a="1", b="2"), record(2, status=PAUSED, b="2"), record(3), record(4, "node")]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), {"sb_0", "sb_1", "sb_2", "sb_3", "sb_4"}),
        (Filter(frozenset({PAUSED})), {"sb_2"}),
        (Filter(frozenset({PAUSED, RUNNING}), "node"), {"sb_1", "sb_4"}),
        (Filter(metadata={"a": "1"}), {"sb_0", "sb_1"}),
        (Filter(metadata={"a": "1", "b": "2"}), {"sb_1"}),
        (Filter(metadata={"c": None}), set()),
    ],
)
def test_filters(wanted: Filter, found: set[str]) -> None:
    assert {record.id for record in page_of(ALL, wanted, 0, 10).items} == found


@pytest.mark.parametrize(
    ("first", "most", "found", "more"), [(0, 2, ["sb_4", "sb_3"], True), (4, 2, ["sb_0"], False), (9, 2, [], False)]
)
def test_pages(first: int, most: int, found: list[str], more: bool) -> None:
    page = page_of(ALL, Filter(), first, most)
    assert ([record.id for record in page.items], page.total, page.more) == (found, 5, more)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 9])
def test_going_on_shows_each_once(most: int) -> None:
    seen: list[str] = []
    last = ""
    while True:
        found, last = after(ALL, Filter(), last, most)
        seen += [record.id for record in found]
        if not last:
            break
    assert seen == ["sb_4", "sb_3", "sb_2", "sb_1", "sb_0"]


def test_going_on_after_one_that_is_no_more() -> None:
    last = place_of(ALL[3])
    found, _ = after([one for one in ALL if one.id != "sb_3"], Filter(), last, 10)
    assert [record.id for record in found] == ["sb_2", "sb_1", "sb_0"]
