"""What an axes holds, sorted by what it stands for."""

from typing import Any

Point = tuple[float, float]

_OUTLINE = range(5, 13)
"""How many points a box has, plain or notched, its first one twice."""

_MAX_POINTS = 2_000
"""More marks than that are no outliers of a box plot."""


class Artists:
    """The visible artists of an axes that stand for its data."""

    def __init__(self, axes: Any) -> None:
        from matplotlib.collections import PathCollection
        from matplotlib.container import BarContainer
        from matplotlib.patches import PathPatch, Wedge

        helpers = {id(line) for container in axes.containers for line in _helpers(container)}
        lines = [line for line in axes.get_lines() if id(line) not in helpers and _is_data(line, axes)]
        self.lines = [line for line in lines if line.get_linestyle() not in ("None", " ", "")]
        self.marks = [line for line in lines if line not in self.lines]
        self.dots = [
            found
            for found in axes.collections
            if isinstance(found, PathCollection) and found.get_visible() and size_of(found)
        ]
        self.bars = [found for found in axes.containers if isinstance(found, BarContainer) and len(found.patches)]
        self.wedges = [patch for patch in axes.patches if isinstance(patch, Wedge) and patch.get_visible()]
        self._patches = [patch for patch in axes.patches if isinstance(patch, PathPatch)]

    def box_parts(self) -> tuple[list[list[Point]], list[list[Point]], list[list[Point]]]:
        """Closed outlines, lines of two points, and lone marks: what a box plot would be made of."""
        outlines = [_points(line) for line in self.lines if size_of(line) in _OUTLINE]
        outlines += [_vertices(patch) for patch in self._patches]
        closed = [points for points in outlines if len(points) in _OUTLINE and points[0] == points[-1]]
        pairs = [_points(line) for line in self.lines if size_of(line) == 2] if closed else []
        marks = [_points(line) for line in self.marks if size_of(line) <= _MAX_POINTS] if closed else []
        return closed, pairs, marks


def group_names(artists: list[Any], unnamed: Any) -> list[Any]:
    """The group that each stands for: its label, or `unnamed`, or its number when there are several."""
    labels = [str(artist.get_label() or "") for artist in artists]
    alone = unnamed if len(artists) == 1 else None
    return [
        label if label and not label.startswith("_") else alone if len(artists) == 1 else str(place)
        for place, label in enumerate(labels, start=1)
    ]


def _is_data(line: Any, axes: Any) -> bool:
    # What spans the whole axes (`axhline`) is drawn in other coordinates.
    across, up = line.get_transform().contains_branch_seperately(axes.transData)
    return bool(line.get_visible() and across and up and size_of(line))


def _helpers(container: Any) -> list[Any]:
    from matplotlib.container import ErrorbarContainer, StemContainer

    if isinstance(container, StemContainer):
        return [container.baseline]
    return list(container.lines[1]) if isinstance(container, ErrorbarContainer) else []


def _vertices(patch: Any) -> list[Point]:
    return [(x, y) for x, y in patch.get_path().vertices.tolist()]


def size_of(artist: Any) -> int:
    """How many points a line or a scatter has."""
    return len(artist.get_xdata(orig=False) if hasattr(artist, "get_xdata") else artist.get_offsets())


def _points(line: Any) -> list[Point]:
    return list(zip(line.get_xdata(orig=False).tolist(), line.get_ydata(orig=False).tolist(), strict=True))
