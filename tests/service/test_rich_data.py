"""Charts and tables in a bundle, as dialects ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from execd.events import Display, Result
from execd.service.rich_data import CHART, TABLE, chart_of, data_of

BAR = {"type": "bar", "elements": [{"label": "u", "value": 1, "group": "default"}]}
ROWS = {"schema": {"fields": []}, "data": [{"a": 1}]}


def test_what_a_bundle_holds() -> None:
    bundle = Display({"text/plain": "x", CHART: BAR, TABLE: ROWS}, {})
    assert (chart_of(bundle), data_of(bundle)) == (BAR, {TABLE: ROWS})


@pytest.mark.parametrize("said", [None, "text", [], {}, {"type": 1, "elements": []}, {"type": "bar", "elements": {}}])
def test_what_is_no_chart_counts_as_missing(said: Any) -> None:
    assert chart_of(Result({CHART: said}, {})) is None
    assert chart_of(Result({}, {})) is None


@pytest.mark.parametrize("said", [None, "text", 1, [], {}, {"data": {}}, {"schema": {}}])
def test_what_is_no_table_counts_as_missing(said: Any) -> None:
    assert data_of(Result({TABLE: said}, {})) is None
    assert data_of(Result({}, {})) is None
