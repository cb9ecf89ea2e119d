"""The first thing that anybody does: run a line and see its output."""

from __future__ import annotations

import httpx

from tests.live.reading import SUCCEEDED, end_of, run, text_of


def test_a_line_of_code_prints(client: httpx.Client) -> None:
    events = run(client, "print(6 * 7)")
    assert text_of(events) == "42\n"
    assert end_of(events) == SUCCEEDED
