"""Altair: charts as Vega-Lite data instead of a page of HTML that loads scripts from elsewhere."""

from types import ModuleType
from typing import Any

from execd_kernel.startup.imports import when_imported


def install(shell: Any) -> None:
    """Prefer the MIME type renderer once altair is there. Whichever renderer the user enables then wins."""

    def prefer_mime_type(altair: ModuleType) -> None:
        if altair.renderers.active == "default":
            altair.renderers.enable("mimetype")
        shell.display_formatter.formatters["text/plain"].for_type(altair.TopLevelMixin, print_chart)

    when_imported("altair", prefer_mime_type, shell.log)


def print_chart(chart: Any, printer: Any, _cycle: bool) -> None:
    """Say what the chart is. Altair's own text tells its reader that no renderer was enabled."""
    printer.text(repr(chart))
