"""Pandas: tables as data (`application/vnd.dataresource+json`) besides text and HTML.

The shape is that of `DataFrame.to_json(orient="table")`: a Frictionless Table Schema with its rows. A table with more
than MAX_ROWS or MAX_COLUMNS, or more text than MAX_CHARACTERS, is cut at its end and says so:
`"truncated": true, "total_rows": …, "total_columns": …`. What that shape cannot hold has no such entry.
"""

import json
import warnings
from contextlib import suppress
from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

MIME_TYPE = "application/vnd.dataresource+json"
MAX_ROWS = 100
MAX_COLUMNS = 50
MAX_CHARACTERS = 1_000_000

# Where pandas 3, and before it pandas 2, say that the classes live.
FRAMES = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))
SERIES = (("pandas", "Series"), ("pandas.core.series", "Series"))


class DataResourceFormatter(BaseFormatter):
    """The formatter of the MIME type, under the method name that pandas has for it."""

    format_type = Unicode(MIME_TYPE)
    print_method = ObjectName("_repr_data_resource_")
    _return_type = dict


def install(shell: Any) -> None:
    """Register the formatters for frames and series, by name."""
    formatters = shell.display_formatter.formatters
    resources: Any = DataResourceFormatter(parent=shell.display_formatter)
    formatters[MIME_TYPE] = resources
    for module, name in FRAMES + SERIES:
        resources.for_type_by_name(module, name, data_resource)
    for module, name in SERIES:
        formatters["text/html"].for_type_by_name(module, name, series_html)


def series_html(series: Any) -> str | None:
    """The HTML of the series as a frame of one column, or its own if its class has one."""
    with suppress(Exception):
        own = getattr(type(series), "_repr_html_", None)
        html: str | None = own(series) if own else series.to_frame()._repr_html_()
        return html
    return None


def data_resource(data: Any) -> dict[str, Any] | None:
    """The table as a data resource, or None when it cannot be one. Never raises, never warns."""
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = data if data.ndim == 2 else data.to_frame("values" if data.name is None else data.name)
        return bounded_resource(frame)
    return None


def bounded_resource(frame: Any) -> dict[str, Any] | None:
    """As many leading rows as the limits let through. Raises what pandas raises for a frame without that shape."""
    rows, columns = frame.shape
    kept = min(rows, MAX_ROWS)
    text = to_json(frame, kept)
    while len(text) > MAX_CHARACTERS:
        if kept <= 1:
            return None
        kept //= 2
        text = to_json(frame, kept)
    resource: dict[str, Any] = json.loads(text)
    if kept < rows or columns > MAX_COLUMNS:
        resource |= {"truncated": True, "total_rows": rows, "total_columns": columns}
    return resource


def to_json(frame: Any, rows: int) -> str:
    """The first `rows` rows and MAX_COLUMNS columns in pandas' table orientation, floats in full precision.

    The index is left out where its name is also a column's, as after `reset_index()`.
    """
    part = frame.iloc[:rows, :MAX_COLUMNS]
    if not part.columns.map(str).is_unique:
        raise ValueError("rows cannot be objects: two columns have the same name")
    names = {"index" if name is None else name for name in part.index.names}
    indexed = names.isdisjoint(part.columns)
    if not indexed:
        part = part.reset_index(drop=True)
    text: str = part.to_json(orient="table", double_precision=15, default_handler=str, index=indexed)
    return text
