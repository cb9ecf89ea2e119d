"""Calls, and whether they are called off."""

from __future__ import annotations

from execd.wire.mcp.calls import Calls

KEY = ("tenant", "session", "1")


def test_a_call_is_called_off_by_its_key() -> None:
    calls = Calls()
    with calls.underway(KEY, off=False) as first, calls.underway(("tenant", "other", "1"), off=False) as second:
        calls.call_off(KEY)
        assert (first.off, second.off) == (True, False)
        calls.call_off(("another", "session", "1"))
    assert len(calls) == 0
    calls.call_off(KEY)


def test_without_a_key_a_call_knows_by_itself() -> None:
    calls = Calls()
    with calls.underway(None, off=True) as underway:
        assert len(calls) == 0
        assert underway.off is True


def test_a_key_that_is_used_twice_belongs_to_the_newer() -> None:
    calls = Calls()
    with calls.underway(KEY, off=False) as older:
        newer = calls.underway(KEY, off=False)
        underway = newer.__enter__()
        calls.call_off(KEY)
        assert (older.off, underway.off) == (False, True)
    # The older one's end is not the newer one's.
    assert len(calls) == 1
    newer.__exit__(None, None, None)
    assert len(calls) == 0
