"""A figure's chart, from the charts of its axes."""

from collections.abc import Iterable, Iterator
from typing import Any

from execd_kernel.chart import MAX_AXES, MAX_ELEMENTS, MAX_TOTAL
from execd_kernel.chart.artists import Artists, size_of
from execd_kernel.chart.boxes import boxes_in
from execd_kernel.chart.elements import Element, bar_elements, box_elements, pie_elements, point_elements
from execd_kernel.chart.scale import Scale, unit_of

Chart = dict[str, Any]


def chart_of(figure: Any) -> Chart | None:
    """The chart of a figure: that of its only axes, or a `superchart`; None for one without anything in it."""
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.has_data() and not _is_colorbar(axes)]
    kept = shown[:MAX_AXES]
    charts = [_axes_chart(axes, MAX_TOTAL // len(kept)) for axes in kept]
    title = str(figure.get_suptitle()) if hasattr(figure, "get_suptitle") else ""
    if len(charts) == 1:
        charts[0]["title"] = charts[0]["title"] or title
        return charts[0]
    return _chart("superchart", title, charts) if charts else None


def _is_colorbar(axes: Any) -> bool:
    return getattr(axes, "_colorbar", None) is not None or axes.get_label() == "<colorbar>"


def _chart(kind: str, title: str, elements: Iterable[Element], x_label: str = "", y_label: str = "") -> Chart:
    return {
        "type": kind,
        "title": title,
        "x_label": x_label,
        "y_label": y_label,
        "x_unit": unit_of(x_label),
        "y_unit": unit_of(y_label),
        "elements": list(elements),
    }


def _axes_chart(axes: Any, budget: int) -> Chart:
    scales = Scale(axes.xaxis), Scale(axes.yaxis)
    kind, elements, total, further = _content(axes, scales, budget) if axes.name == "rectilinear" else _nothing()
    title = next((text for where in ("center", "left", "right") if (text := axes.get_title(loc=where))), "")
    chart = _chart(kind, title, elements, scales[0].label, scales[1].label) | further
    if len(chart["elements"]) < total:
        chart |= {"truncated": True, "total_elements": total}
    return chart


Content = tuple[str, Iterator[Element], int, dict[str, Any]]


def _nothing() -> Content:
    return "unknown", iter(()), 0, {}


def _content(axes: Any, scales: tuple[Scale, Scale], budget: int) -> Content:
    artists = Artists(axes)
    if artists.wedges:
        return "pie", pie_elements(artists.wedges, min(budget, MAX_ELEMENTS)), len(artists.wedges), {}
    boxes, upright = boxes_in(*artists.box_parts())
    if boxes:
        elements = box_elements(boxes, scales[not upright], min(budget, MAX_ELEMENTS))
        return "box_and_whisker", elements, len(boxes), _oriented(upright)
    if artists.bars:
        return _bars(artists.bars, scales, budget)
    return _points(artists, scales, budget)


def _bars(containers: list[Any], scales: tuple[Scale, Scale], budget: int) -> Content:
    upright = containers[0].orientation != "horizontal"
    kept, limit = _shares(containers, budget)
    elements = bar_elements(kept, scales[not upright], limit, upright=upright)
    return "bar", elements, sum(len(container.patches) for container in containers), _oriented(upright)


def _points(artists: Artists, scales: tuple[Scale, Scale], budget: int) -> Content:
    marks = artists.marks + artists.dots
    in_lines, in_marks = sum(map(size_of, artists.lines)), sum(map(size_of, marks))
    if not in_lines + in_marks:
        return _nothing()
    kind, chosen = ("line", artists.lines) if in_lines >= in_marks else ("scatter", marks)
    kept, limit = _shares(chosen, budget)
    further = scales[0].ticks("x") | scales[1].ticks("y")
    return kind, point_elements(kept, scales, limit), max(in_lines, in_marks), further


def _shares(series: list[Any], budget: int) -> tuple[list[Any], int]:
    kept = series[:budget]
    return kept, min(budget // len(kept), MAX_ELEMENTS)


def _oriented(upright: bool) -> dict[str, Any]:
    return {"orientation": "vertical" if upright else "horizontal"}
