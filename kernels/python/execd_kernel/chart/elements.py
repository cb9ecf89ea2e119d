"""The elements of a chart: one function a kind. `limit` is how many a series may have."""

from collections.abc import Iterator
from typing import Any

from execd_kernel.chart.artists import group_names
from execd_kernel.chart.boxes import Box
from execd_kernel.chart.scale import Scale
from execd_kernel.chart.values import plain, plains, step_of

Element = dict[str, Any]


def point_elements(artists: list[Any], scales: tuple[Scale, Scale], limit: int) -> Iterator[Element]:
    """The points of lines, marks and scatters."""
    for artist, group in zip(artists, group_names(artists, None), strict=True):
        points = _of_line(artist, scales, limit) if hasattr(artist, "get_xdata") else _of_dots(artist, scales, limit)
        for x, y in points:
            yield {"x": x, "y": y, "group": group}


def bar_elements(containers: list[Any], scale: Scale, limit: int, *, upright: bool) -> Iterator[Element]:
    """Bars with the label of the category or the tick that they stand at."""
    for container, group in zip(containers, group_names(containers, "default"), strict=True):
        bars = container.patches[:: step_of(len(container.patches), limit)]
        for bar in bars:
            start, width = (bar.get_x(), bar.get_width()) if upright else (bar.get_y(), bar.get_height())
            label = scale.name(float(start + width / 2), abs(float(width)) * len(containers) / 2)
            value = bar.get_height() if upright else bar.get_width()
            yield {"label": label, "value": plain(value), "group": group}


def pie_elements(wedges: list[Any], limit: int) -> Iterator[Element]:
    """Slices with their share of the circle. Matplotlib does not keep the values behind them."""
    for place, wedge in enumerate(wedges[:limit], start=1):
        label, angle = str(wedge.get_label() or ""), float(abs(wedge.theta2 - wedge.theta1))
        yield {
            "label": label if label and not label.startswith("_") else str(place),
            "value": round(angle / 3.6, 4),
            "group": "default",
            "angle": round(angle, 4),
            "radius": plain(wedge.r),
        }


def box_elements(boxes: list[Box], scale: Scale, limit: int) -> Iterator[Element]:
    """Boxes with the label of the tick that they stand at."""
    for box in boxes[:limit]:
        yield {
            "label": scale.name(box.middle, box.width / 2),
            "min": plain(box.minimum),
            "q1": plain(box.q1),
            "median": plain(box.median),
            "q3": plain(box.q3),
            "max": plain(box.maximum),
            "group": "default",
            "outliers": [plain(value) for value in box.outliers[:limit]],
        }


def _of_line(line: Any, scales: tuple[Scale, Scale], limit: int) -> Iterator[tuple[Any, Any]]:
    # What was plotted, before units became numbers; of another shape only where it is broadcast.
    xs, ys = line.get_xdata(orig=True), line.get_ydata(orig=True)
    if not (_sliceable(xs) and _sliceable(ys) and len(xs) == len(ys)):
        xs, ys = line.get_xdata(orig=False), line.get_ydata(orig=False)
    step = step_of(len(xs), limit)
    return zip(scales[0].values(plains(xs[::step])), scales[1].values(plains(ys[::step])), strict=True)


def _of_dots(dots: Any, scales: tuple[Scale, Scale], limit: int) -> Iterator[tuple[Any, Any]]:
    import numpy as np

    offsets = dots.get_offsets()
    chosen = np.ma.filled(offsets[:: step_of(len(offsets), limit)].astype(float), np.nan)
    for x, y in chosen.tolist():
        yield _at(scales[0], x), _at(scales[1], y)


def _at(scale: Scale, number: float) -> Any:
    return scale.value(number) if number == number else None  # noqa: PLR0124 - NaN


def _sliceable(values: Any) -> bool:
    return hasattr(values, "__len__") and hasattr(values, "__getitem__") and not isinstance(values, str)
