"""What may still be begun when few descriptors are left."""

from __future__ import annotations

import os

import pytest

from execd.service.descriptors import FOR_WHAT_ENDS, FOR_WHAT_LASTS, count_open, enough


@pytest.mark.parametrize(
    ("left", "limit", "kept", "expected"),
    [
        (128, 20000, FOR_WHAT_LASTS, True),
        (127, 20000, FOR_WHAT_LASTS, False),
        (127, 20000, FOR_WHAT_ENDS, True),
        (63, 20000, FOR_WHAT_ENDS, False),
        (64, 256, FOR_WHAT_LASTS, True),
        (63, 256, FOR_WHAT_LASTS, False),
        (32, 256, FOR_WHAT_ENDS, True),
        (31, 256, FOR_WHAT_ENDS, False),
        (0, 1, FOR_WHAT_LASTS, True),
    ],
)
def test_what_may_be_begun(left: int, limit: int, kept: int, expected: bool) -> None:
    assert enough(left, limit, kept) is expected


def test_what_is_open_is_counted() -> None:
    before = count_open()
    opened = [os.open("/", os.O_PATH) for _ in range(10)]
    try:
        assert count_open() == before + 10
    finally:
        for fd in opened:
            os.close(fd)
    assert count_open() == before
