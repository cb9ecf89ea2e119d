"""Figures as data: what is in each kind of chart, and that nothing in it can break or slow the display."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Cell, Kernel, StartKernel

MIME_TYPE = "application/vnd.execd.chart+json"
PNG = "image/png"
SETUP = """
import datetime as dt
import matplotlib.pyplot as plt, numpy as np, pandas as pd
fig = plt.figure(); plt.plot([1]); plt.close(fig); del fig  # builds the font cache, which says so on stderr
x, days = np.arange(3), pd.date_range("2024-01-30", periods=3)
frame = pd.DataFrame({"m": [1, 2, 3], "w": [4, 5, 6]}, index=list("abc"))
"""


@pytest.fixture(scope="module", autouse=True)
def libraries(kernel: "Kernel") -> None:
    kernel.run(SETUP)


def chart_in(cell: "Cell") -> dict[str, Any]:
    (data,) = (data for data in cell.bundles() if PNG in data)
    chart = data[MIME_TYPE]
    assert isinstance(chart, dict)
    return chart


def rows(chart: dict[str, Any], *keys: str) -> list[tuple[Any, ...]]:
    """These keys of the elements."""
    return [tuple(element[key] for key in keys) for element in chart["elements"]]


@pytest.mark.parametrize("show", ["plt.show()", "plt.gcf()", "display(plt.gcf())", "None", "plt.gcf().show()"], ids=str)
def test_however_a_figure_is_shown_its_chart_is_beside_its_image(kernel: "Kernel", show: str) -> None:
    code = f"plt.plot([1, 2], [3, 4]); plt.title('T'); plt.xlabel('Time (s)'); plt.ylabel('Speed [m/s]')\n{show}"
    cell = kernel.run(code)
    (chart,) = cell.values(MIME_TYPE)
    assert chart == chart_in(cell)
    described = {key: chart[key] for key in ("type", "title", "x_label", "x_unit", "y_label", "y_unit")}
    assert described == {
        "type": "line",
        "title": "T",
        "x_label": "Time (s)",
        "x_unit": "s",
        "y_label": "Speed [m/s]",
        "y_unit": "m/s",
    }
    assert chart["elements"] == [{"x": 1, "y": 3, "group": None}, {"x": 2, "y": 4, "group": None}]
    assert (chart["x_scale"], len(chart["x_ticks"])) == ("linear", len(chart["x_tick_labels"]))


POINTS = {
    "two lines": ("plt.plot([1], [2], label='a'); plt.plot([3], [4], label='b')", "line", [(1, 2, "a"), (3, 4, "b")]),
    "two without labels": ("plt.plot([1], [2]); plt.plot([3], [4])", "line", [(1, 2, "1"), (3, 4, "2")]),
    "holes": ("plt.plot([1, 2, 3], [np.nan, np.inf, None])", "line", [(n, None, None) for n in (1, 2, 3)]),
    "masked": ("plt.plot([1, 2], np.ma.array([5, 6], mask=[1, 0]))", "line", [(1, None, None), (2, 6, None)]),
    "dates": ("plt.plot(days[:1], [1])", "line", [("2024-01-30T00:00:00", 1, None)]),
    "days": ("plt.plot([dt.date(2024, 5, 6)], [1])", "line", [("2024-05-06", 1, None)]),
    "categories": ("plt.plot(['u', 'v'], [1, 2])", "line", [("u", 1, None), ("v", 2, None)]),
    "a frame": (
        "frame.plot()",
        "line",
        [(n, v, g) for g, values in (("m", (1, 2, 3)), ("w", (4, 5, 6))) for n, v in enumerate(values)],
    ),
    "a series of a frequency": (
        "pd.Series([7, 8], index=days[:2]).plot()",
        "line",
        [("2024-01-30T00:00:00", 7, None), ("2024-01-31T00:00:00", 8, None)],
    ),
    "a line across the whole axes": ("plt.plot([1], [2]); plt.axhline(3); plt.axvline(4)", "line", [(1, 2, None)]),
    "error bars": ("plt.errorbar([1], [2], yerr=0.5, capsize=3)", "line", [(1, 2, None)]),
    "marks": ("plt.plot([1, 2], [3, 4], 'o')", "scatter", [(1, 3, None), (2, 4, None)]),
    "scatter": ("plt.scatter([1, 2], [3, 4], label='s')", "scatter", [(1, 3, "s"), (2, 4, "s")]),
    "scatter of a hole": ("plt.scatter([1, 2], [np.nan, 4])", "scatter", [(None, None, None), (2, 4, None)]),
    "scatter of dates": ("plt.scatter(days[:1], ['u'])", "scatter", [("2024-01-30T00:00:00", "u", None)]),
    "points with a fitted line": (
        "plt.scatter(x, x, label='s'); plt.plot([0, 2], [0, 2])",
        "scatter",
        [(0, 0, "s"), (1, 1, "s"), (2, 2, "s")],
    ),
    "a line with points on it": (
        "plt.plot(x, x, label='l'); plt.scatter([1], [1])",
        "line",
        [(0, 0, "l"), (1, 1, "l"), (2, 2, "l")],
    ),
}


@pytest.mark.parametrize("what", POINTS)
def test_lines_and_points(kernel: "Kernel", what: str) -> None:
    code, kind, points = POINTS[what]
    cell = kernel.run(f"{code}; plt.show()")
    chart = chart_in(cell)
    assert (chart["type"], rows(chart, "x", "y", "group")) == (kind, points)
    assert cell.text("stderr") == ""


GROUPED = (
    "plt.bar(x - .2, [1, 2, 3], .4, label='m'); plt.bar(x + .2, [4, 5, 6], .4, label='w'); plt.xticks(x, list('abc'))"
)
BOTH = [
    (label, value, group)
    for group, values in (("m", (1, 2, 3)), ("w", (4, 5, 6)))
    for label, value in zip("abc", values, strict=True)
]
BARS = {
    "upright": ("plt.bar(['u', 'v'], [1, -2.5])", "vertical", [("u", 1, "default"), ("v", -2.5, "default")]),
    "horizontal": ("plt.barh(['u', 'v'], [1, 2])", "horizontal", [("u", 1, "default"), ("v", 2, "default")]),
    "numbers": ("plt.bar([3, 4.5], [1, np.nan])", "vertical", [("3", 1, "default"), ("4.5", None, "default")]),
    "ticks elsewhere": (
        "plt.bar([0, 1], [5, 6]); plt.xticks([0], ['zero'])",
        "vertical",
        [("zero", 5, "default"), ("1", 6, "default")],
    ),
    "dates": ("plt.bar(days[:1], [1])", "vertical", [("2024-01-30T00:00:00", 1, "default")]),
    "grouped": (GROUPED, "vertical", BOTH),
    "a frame": ("frame.plot.bar()", "vertical", BOTH),
    "a frame, horizontal and stacked": ("frame.plot.barh(stacked=True)", "horizontal", BOTH),
    "a histogram": ("plt.hist([1, 1, 2, 3], bins=2)", "vertical", [("1.5", 2, "default"), ("2.5", 2, "default")]),
    "with a line": ("plt.bar(['u'], [1]); plt.plot(['u'], [1])", "vertical", [("u", 1, "default")]),
}


@pytest.mark.parametrize("what", BARS)
def test_bars(kernel: "Kernel", what: str) -> None:
    code, orientation, bars = BARS[what]
    chart = chart_in(kernel.run(f"{code}; plt.show()"))
    assert (chart["type"], chart["orientation"], rows(chart, "label", "value", "group")) == ("bar", orientation, bars)


@pytest.mark.parametrize(
    "code", ["plt.pie([3, 1], labels=['p', 'q'])", "pd.Series([3, 1], index=['p', 'q']).plot.pie()"]
)
def test_slices_are_shares_of_the_circle(kernel: "Kernel", code: str) -> None:
    chart = chart_in(kernel.run(f"{code}; plt.show()"))
    assert (chart["type"], rows(chart, "label", "value", "group")) == (
        "pie",
        [("p", 75, "default"), ("q", 25, "default")],
    )
    assert rows(chart, "angle", "radius") == [(270, 1), (90, 1)]


DATA = "[[1, 2, 3, 4, 20], [10, 20, 30]]"
UPRIGHT = [("A", 1, 2, 3, 4, 4, [20]), ("B", 10, 15, 20, 25, 30, [])]
BOXES = {
    "plain": (f"plt.boxplot({DATA}, tick_labels=['A', 'B'])", "vertical"),
    "horizontal": (f"plt.boxplot({DATA}, tick_labels=['A', 'B'], orientation='horizontal')", "horizontal"),
    "filled, notched, with means": (
        f"plt.boxplot({DATA}, tick_labels=['A', 'B'], patch_artist=True, notch=True, showmeans=True)",
        "vertical",
    ),
    "no caps, a mean line": (
        f"plt.boxplot({DATA}, tick_labels=['A', 'B'], showcaps=False, showmeans=True, meanline=True)",
        "vertical",
    ),
    "a frame": (f"pd.DataFrame(dict(zip('AB', map(pd.Series, {DATA})))).boxplot()", "vertical"),
}


@pytest.mark.parametrize("what", BOXES)
def test_boxes(kernel: "Kernel", what: str) -> None:
    code, orientation = BOXES[what]
    chart = chart_in(kernel.run(f"{code}; plt.show()"))
    keys = ("label", "min", "q1", "median", "q3", "max", "outliers")
    assert (chart["type"], chart["orientation"], rows(chart, *keys)) == ("box_and_whisker", orientation, UPRIGHT)


def test_boxes_without_labels_are_numbered_by_text(kernel: "Kernel") -> None:
    assert rows(chart_in(kernel.run(f"plt.boxplot({DATA}); plt.show()")), "label") == [("1",), ("2",)]


def test_several_axes_are_a_chart_of_charts(kernel: "Kernel") -> None:
    code = "f, a = plt.subplots(1, 3); a[0].plot([1]); a[1].bar(['u'], [2]); f.suptitle('S'); a[1].set_title('two')"
    chart = chart_in(kernel.run(f"{code}; plt.show()"))
    assert (chart["type"], chart["title"]) == ("superchart", "S")
    assert rows(chart, "type", "title") == [("line", ""), ("bar", "two")]
    assert chart["elements"][1]["elements"] == [{"label": "u", "value": 2, "group": "default"}]


def test_a_figure_s_own_title_is_that_of_its_only_axes(kernel: "Kernel") -> None:
    assert chart_in(kernel.run("plt.plot([1]); plt.suptitle('S'); plt.show()"))["title"] == "S"


@pytest.mark.parametrize(
    "code",
    [
        "plt.imshow(np.eye(3)); plt.colorbar()",
        "plt.contourf(np.eye(3))",
        "plt.polar([1, 2], [3, 4])",
        "plt.figure().add_subplot(projection='3d').plot([1], [2], [3])",
    ],
)
def test_of_other_kinds_only_the_labels_are_told(kernel: "Kernel", code: str) -> None:
    chart = chart_in(kernel.run(f"{code}; plt.title('T'); plt.show()"))
    assert (chart["type"], chart["elements"]) == ("unknown", [])


MANY = {
    "a long line": ("plt.plot(np.arange(10_001))", 10_001, range(600, 1001)),
    "many lines": ("plt.plot(np.random.rand(1000, 30))", 30_000, range(4000, 5001)),
    "more lines than elements": ("[plt.plot([n]) for n in range(5100)]", 5100, range(5000, 5001)),
    "a large scatter": ("plt.scatter(np.arange(10_000), np.arange(10_000))", 10_000, range(600, 1001)),
    "many bars": ("plt.hist(np.random.rand(100), bins=1500)", 1500, range(600, 1001)),
}


@pytest.mark.parametrize("what", MANY)
def test_of_too_many_elements_some_are_chosen_and_that_is_said(kernel: "Kernel", what: str) -> None:
    code, total, kept = MANY[what]
    chart = chart_in(kernel.run(f"{code}; plt.show()"))
    assert (chart["truncated"], chart["total_elements"]) == (True, total)
    assert len(chart["elements"]) in kept


def test_the_chosen_ones_are_spread_evenly(kernel: "Kernel") -> None:
    chart = chart_in(kernel.run("plt.plot(np.arange(10_001)); plt.show()"))
    ys = [element["y"] for element in chart["elements"]]
    assert (ys[0], {b - a for a, b in pairwise(ys)}, ys[-1] > 9_900) == (0, {11}, True)
    assert "truncated" not in chart_in(kernel.run("plt.plot(np.arange(1000)); plt.show()"))


BROKEN = {
    "get_lines": "raise RuntimeError('of mine')",
    "get_title": "import warnings; warnings.warn('of mine'); raise ValueError",
    "has_data": "return 1 / 0",
}


@pytest.mark.parametrize("method", BROKEN)
def test_an_axes_that_breaks_costs_the_chart_and_nothing_else(kernel: "Kernel", method: str) -> None:
    code = f"""
    from matplotlib.axes import Axes
    class Broken(Axes):
        def {method}(self, *args, **kwargs): {BROKEN[method]}
    plt.figure().add_axes(Broken(plt.gcf(), [0, 0, 1, 1]))
    plt.show()
    """
    cell = kernel.run(code)
    (data,) = cell.bundles()
    assert set(data) == {"text/plain", PNG}
    assert (cell.kinds, cell.text("stderr")) == (["display_data"], "")


def test_a_figure_without_anything_in_it_has_no_chart(kernel: "Kernel") -> None:
    (data,) = kernel.run("plt.subplots(); plt.show()").bundles()
    assert set(data) == {"text/plain", PNG}


def test_a_chart_leaves_its_figure_as_it_is(kernel: "Kernel") -> None:
    code = (
        "f, a = plt.subplots(); a.plot([1]); f.stale = {}\nget_ipython().display_formatter.format(f, include=['"
        + MIME_TYPE
        + "'])\nprint(f.stale); plt.close('all')"
    )
    assert [kernel.run(code.format(stale)).text("stdout") for stale in (True, False)] == ["True\n", "False\n"]


@pytest.mark.parametrize(
    "backend", ["import matplotlib; matplotlib.use('Agg')", "%config InlineBackend.figure_formats = ['svg']"]
)
def test_whatever_draws_it(start_kernel: "StartKernel", backend: str) -> None:
    cell = start_kernel().run(f"{backend}\nimport matplotlib.pyplot as plt\nplt.bar(['u'], [1]); plt.show()")
    (chart,) = cell.values(MIME_TYPE)
    assert chart["type"] == "bar"


def test_a_kernel_without_a_figure_has_not_imported_matplotlib_for_it(
    start_kernel: "StartKernel", warden: object
) -> None:
    seen = start_kernel().run("import sys; print('matplotlib' in sys.modules, [n for n in dir() if 'chart' in n])")
    assert seen.text("stdout") == f"{warden is not None} []\n"
