"""Plotly: figures as `application/vnd.plotly.v1+json`.

kernel.json chooses that renderer with PLOTLY_RENDERER. Plotly refuses to use it where nbformat is not installed,
which it needs for nothing else; there, a renderer of the same name takes its place.
"""

from types import ModuleType
from typing import Any

from execd_kernel.startup.imports import when_imported


def install(shell: Any) -> None:
    """Make the MIME type renderer work once plotly's renderers are there."""
    when_imported("plotly.io._renderers", work_without_nbformat, shell.log)


def work_without_nbformat(module: ModuleType) -> None:
    """Replace each MIME type renderer in the registry by one that displays by itself, if nbformat is missing."""
    if module.nbformat:
        return
    from plotly.io.base_renderers import PlotlyRenderer

    renderer = display_renderer()
    registry = module.renderers
    for name in [name for name in registry if type(registry[name]) is PlotlyRenderer]:
        registry[name] = renderer
    registry.default = registry.default  # looks its renderers up again


def display_renderer() -> Any:
    """A renderer that plotly leaves to itself ("external"), and that displays the same bundle as PlotlyRenderer."""
    from IPython.display import display
    from plotly.io.base_renderers import ExternalRenderer, PlotlyRenderer

    class DisplayRenderer(ExternalRenderer):  # type: ignore[misc]
        """Displays figures as application/vnd.plotly.v1+json."""

        def __init__(self, config: dict[str, Any] | None = None) -> None:
            self.config = config

        def render(self, fig_dict: dict[str, Any]) -> None:
            display(PlotlyRenderer(self.config).to_mimebundle(fig_dict), raw=True)  # type: ignore[no-untyped-call]

    return DisplayRenderer()
