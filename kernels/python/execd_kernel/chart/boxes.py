"""Box plots: matplotlib keeps their lines only, so boxes are known by what is drawn.

A box is a closed outline with a whisker that ends on each of two opposite sides, in its middle, and a line across in
between. That is what `boxplot`, `bxp`, pandas and seaborn draw, upright or not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

Point = tuple[float, float]

_NEAR = 1e-6
"""How far from its middle, in widths of the box, something is still in it."""


@dataclass(frozen=True)
class Box:
    """One box. `middle` is where it stands on the axis of labels."""

    middle: float
    width: float
    minimum: float
    q1: float
    median: float
    q3: float
    maximum: float
    outliers: tuple[float, ...]


def boxes_in(outlines: list[list[Point]], lines: list[list[Point]], dots: list[list[Point]]) -> tuple[list[Box], bool]:
    """The boxes that these make, and whether they are upright."""
    upright = list(_boxes(outlines, lines, dots))
    if upright:
        return upright, True
    return list(_boxes(*([_turned(points) for points in each] for each in (outlines, lines, dots)))), False


def _turned(points: list[Point]) -> list[Point]:
    return [(y, x) for x, y in points]


def _boxes(outlines: list[list[Point]], lines: list[list[Point]], dots: list[list[Point]]) -> Iterator[Box]:
    for outline in outlines:
        left, right = min(x for x, _ in outline), max(x for x, _ in outline)
        middle, width = (left + right) / 2, right - left
        # The notch of a notched one may reach beyond both.
        q1, q3 = outline[0][1], outline[len(outline) // 2][1]
        inside = [line for line in lines if all(abs(x - middle) <= width * 0.500001 for x, _ in line)]
        whiskers = [line for line in inside if all(abs(x - middle) <= width * _NEAR for x, _ in line)]
        low = [end[1] for start, end in whiskers if start[1] == q1 and end[1] <= q1]
        high = [end[1] for start, end in whiskers if start[1] == q3 and end[1] >= q3]
        across = [(start, end) for start, end in inside if start[1] == end[1] and start[0] < middle < end[0]]
        medians = [line for line in across if q1 <= line[0][1] <= q3]
        if low and high and medians:
            ends = low[0], high[-1]
            outliers = tuple(y for y in _above(middle, width, dots) if not ends[0] <= y <= ends[1])
            yield Box(middle, width, ends[0], q1, _median(medians, ends), q3, ends[1], outliers)


def _median(medians: list[tuple[Point, Point]], ends: tuple[float, float]) -> float:
    # Where there is no whisker its cap lies on the box, and may be shorter.
    between = [line for line in medians if line[0][1] not in ends] or medians
    return max(between, key=lambda line: line[1][0] - line[0][0])[0][1]


def _above(middle: float, width: float, dots: list[list[Point]]) -> list[float]:
    # A mean that is marked is drawn before the outliers.
    above = [[y for x, y in points if abs(x - middle) <= width * _NEAR] for points in dots]
    return next((found for found in reversed(above) if found), [])
