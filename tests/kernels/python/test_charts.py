"""Plotly and altair: charts as data, once each, and the user's choice of renderer respected."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel, StartKernel

PLOTLY = "application/vnd.plotly.v1+json"
FIGURE = "import plotly.graph_objects as go; fig = go.Figure(go.Scatter(y=[1, 3, 2]))\n"
CHART = "import altair as alt; chart = alt.Chart(alt.Data(values=[{'a': 1}])).mark_bar().encode(x='a:Q')\n"


@pytest.mark.parametrize(
    "code",
    [
        "fig",
        "fig.show()",
        "display(fig)",
        "fig.show(renderer='jupyterlab')",
        "import plotly.express as px; px.scatter(x=[1], y=[2])",
        "import plotly.io; plotly.io.show(fig)",
    ],
)
def test_a_plotly_figure_is_data_once(kernel: "Kernel", code: str) -> None:
    (data,) = kernel.run(FIGURE + code).bundles()
    assert set(data) <= {PLOTLY, "text/plain"}
    assert data[PLOTLY]["data"][0]["type"] == "scatter"


def test_plotly_show_takes_a_config(kernel: "Kernel") -> None:
    (figure,) = kernel.run(FIGURE + "fig.show(config={'scrollZoom': True})").values(PLOTLY)
    assert figure["config"]["scrollZoom"] is True


def test_the_users_plotly_settings_win(kernel: "Kernel") -> None:
    cell = kernel.run(FIGURE + "import plotly.io as pio; pio.renderers.render_on_display = False; fig")
    assert cell.bundles() == []
    assert cell.text("stdout").startswith("Figure(")
    kernel.run("pio.renderers.render_on_display = True")


def vegalite_type(kernel: "Kernel") -> str:
    version = kernel.run("import altair as alt; print(alt.SCHEMA_VERSION.split('.')[0])").text("stdout").strip()
    return f"application/vnd.vegalite.{version}.json"


@pytest.mark.parametrize("code", ["chart", "chart.display()", "display(chart)", "chart.show()", "chart + chart"])
def test_an_altair_chart_is_data_once(kernel: "Kernel", code: str) -> None:
    (data,) = kernel.run(CHART + code).bundles()
    assert set(data) == {"text/plain", vegalite_type(kernel)}
    assert "vega-lite" in data[vegalite_type(kernel)]["$schema"]
    assert data["text/plain"].startswith("alt.")


@pytest.mark.parametrize("name", ["html", "default", "json"])
def test_the_users_altair_renderer_wins(kernel: "Kernel", name: str) -> None:
    (data,) = kernel.run(CHART + f"with alt.renderers.enable({name!r}): display(chart)").bundles()
    assert vegalite_type(kernel) not in data


def test_an_altair_renderer_chosen_once_stays(start_kernel: "StartKernel") -> None:
    kernel = start_kernel()
    kernel.run("import altair as alt; alt.renderers.enable('html'); None")
    (data,) = kernel.run(CHART + "chart").bundles()
    assert "text/html" in data


def test_a_watched_library_is_imported_as_without_the_watch(kernel: "Kernel") -> None:
    code = (
        "import altair, importlib, inspect, plotly.io._renderers as r\n"
        "for m in (altair, r):\n"
        "    print(type(m.__loader__).__name__, m.__spec__.loader is m.__loader__, bool(inspect.getsource(m)))\n"
        "print(importlib.reload(altair).renderers.active)"
    )
    lines = kernel.run(code).text("stdout").splitlines()
    assert lines == ["SourceFileLoader True True"] * 2 + ["mimetype"]


def test_a_library_that_is_not_installed_is_missed_as_usual(start_kernel: "StartKernel") -> None:
    kernel = start_kernel()
    missed = kernel.run("import sys; hidden = sys.path[:]; sys.path[:] = []; import altair", check=False)
    assert (missed.reply["ename"], missed.reply["evalue"]) == ("ModuleNotFoundError", "No module named 'altair'")
    kernel.run("sys.path[:] = hidden")
    (data,) = kernel.run(CHART + "chart").bundles()
    assert vegalite_type(kernel) in data, "the watch is still there when the library has been installed"
