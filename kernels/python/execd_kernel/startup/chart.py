"""Charts: what a matplotlib figure shows, as data (`application/vnd.execd.chart+json`) besides its image.

The shape is described in execd_kernel.chart. A figure of which nothing can be said has no such entry; whatever goes
wrong on the way costs that entry and nothing else.
"""

import sys
import warnings
from contextlib import suppress
from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

MIME_TYPE = "application/vnd.execd.chart+json"


class ChartFormatter(BaseFormatter):
    """The formatter of the MIME type. An object of any class has it with a method of this name."""

    format_type = Unicode(MIME_TYPE)
    print_method = ObjectName("_repr_execd_chart_")
    _return_type = dict

    def pop(self, typ: Any, default: Any = None) -> Any:
        """Keep what is registered for figures: who chooses their image formats takes them from every formatter."""
        return default if typ is figure_class() else super().pop(typ, default)  # type: ignore[no-untyped-call]


def install(shell: Any) -> None:
    """Register the formatter for figures, by name."""
    charts: Any = ChartFormatter(parent=shell.display_formatter)
    shell.display_formatter.formatters[MIME_TYPE] = charts
    charts.for_type_by_name("matplotlib.figure", "Figure", chart)


def figure_class() -> Any:
    """Matplotlib's class of figures; None as long as nobody has imported it."""
    return getattr(sys.modules.get("matplotlib.figure"), "Figure", None)


def chart(figure: Any) -> dict[str, Any] | None:
    """The chart, or None. Never raises, never warns, and leaves the figure as it is."""
    from execd_kernel.chart.figure import chart_of

    stale = figure.stale
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return chart_of(figure)
        finally:
            figure.stale = stale
    return None
