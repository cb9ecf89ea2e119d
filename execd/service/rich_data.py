"""What a MIME bundle holds as data, for dialects that show it in fields of their own. Pure.

Our Python kernel puts it there (kernels/README.md); code can make a kernel say anything, so what has not the shape that
it should have counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from execd.events import Bundle

CHART = "application/vnd.execd.chart+json"
TABLE = "application/vnd.dataresource+json"


def chart_of(bundle: Bundle) -> Mapping[str, Any] | None:
    """The chart of a figure: `type`, `title`, `x_label`, `y_label`, `x_unit`, `y_unit` and flat `elements`, with
    further keys that may be ignored. The elements of a `superchart` are such charts."""
    chart = bundle.data.get(CHART)
    shaped = isinstance(chart, dict) and isinstance(chart.get("type"), str) and isinstance(chart.get("elements"), list)
    return chart if shaped else None


def data_of(bundle: Bundle) -> dict[str, Any] | None:
    """A table as data, by MIME type: a Frictionless data resource, with `schema` and the rows in `data`."""
    table = bundle.data.get(TABLE)
    return {TABLE: table} if isinstance(table, dict) and isinstance(table.get("data"), list) else None
