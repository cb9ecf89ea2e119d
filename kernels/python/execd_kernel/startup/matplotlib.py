"""Matplotlib: each figure of a cell comes out once.

The inline backend shows every figure that is open at the end of a cell, also one that the cell has displayed itself
or has as its value. Those are closed before the backend looks, unless they have changed since. Figures made
under the Agg backend, which shows nothing, are shown the same way: code that chooses it wants no window, and gets none.
"""

import sys
from typing import Any

IMAGE_TYPES = ("image/png", "image/svg+xml", "image/jpeg", "application/pdf")


def install(shell: Any) -> None:
    """Watch figures being displayed and cells ending. The backend, once loaded, acts on the same events later."""
    figures = Figures(shell)
    shell.display_formatter.mimebundle_formatter.for_type_by_name("matplotlib.figure", "Figure", figures.formatting)
    shell.display_pub.register_hook(figures.published)
    shell.displayhook.register_hook(figures.published)
    shell.events.register("post_execute", figures.finish)


class Figures:
    """The figures that the running cell has put out by itself."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._formatting: list[Any] = []
        self._published: list[Any] = []

    def formatting(self, figure: Any) -> None:
        """A figure is about to be rendered. Adds nothing to its bundle."""
        if not any(self._renders(mime_type, figure) for mime_type in IMAGE_TYPES):
            self._select_formats()
        self._formatting.append(figure)

    def published(self, message: dict[str, Any]) -> dict[str, Any]:
        """An output goes out: the figures in it are in the state that the reader sees. Leaves the message alone."""
        for figure in self._formatting:
            figure.stale = False  # set again by whatever changes the figure from now on
        self._published += self._formatting
        self._formatting.clear()
        return message

    def finish(self) -> None:
        """The cell has ended: close what was put out as it is, and show what the backend would not."""
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            if self._published:
                self._close_published(pyplot)
            if pyplot.get_fignums() and is_agg():
                self._show_open()
        self._formatting.clear()
        self._published.clear()

    def _close_published(self, pyplot: Any) -> None:
        from matplotlib_inline.config import InlineBackend

        if InlineBackend.instance().close_figures:
            for figure in self._published:
                if not figure.stale:
                    pyplot.close(figure)

    def _show_open(self) -> None:
        from matplotlib_inline.backend_inline import show

        show(close=True)  # type: ignore[no-untyped-call]

    def _renders(self, mime_type: str, figure: Any) -> bool:
        try:
            self._shell.display_formatter.formatters[mime_type].lookup(figure)
        except KeyError:
            return False
        return True

    def _select_formats(self) -> None:
        """Give figures the configured image formats, as the inline backend does where it is loaded."""
        from IPython.core.pylabtools import select_figure_formats
        from matplotlib_inline.config import InlineBackend

        backend = InlineBackend.instance()
        kwargs = backend.print_figure_kwargs
        select_figure_formats(self._shell, backend.figure_formats, **kwargs)  # type: ignore[no-untyped-call]


def is_agg() -> bool:
    """Whether figures are drawn by Agg alone, which is what `matplotlib.use("Agg")` asks for."""
    import matplotlib as mpl

    return mpl.get_backend().lower() == "agg"
