"""An axis: what its positions mean, and how they are written."""

import re
from typing import Any

from execd_kernel.chart.values import plain

_UNIT = re.compile(r"\(([^()]+)\)|\[([^\[\]]+)\]")
_MAX_TICKS = 100


def unit_of(label: str) -> str | None:
    """What a label has in brackets: `Speed (km/h)` and `Speed [km/h]`."""
    found = _UNIT.search(label)
    return (found[1] or found[2]).strip() if found else None


class Scale:
    """One axis of an axes."""

    def __init__(self, axis: Any) -> None:
        from matplotlib.dates import DateLocator
        from matplotlib.ticker import FixedLocator

        self._axis = axis
        self._locator = axis.get_major_locator()
        self._names = {number: name for name, number in getattr(axis.units, "_mapping", {}).items()}
        # What pandas draws along dates of one frequency has the number of the period as its position.
        self._frequency = getattr(axis.axes, "freq", None) if "TimeSeries" in type(self._locator).__name__ else None
        self._dated = isinstance(self._locator, DateLocator) or self._frequency is not None
        self._labels = self._fixed_labels() if isinstance(self._locator, FixedLocator) else []

    @property
    def kind(self) -> str:
        """What E2B calls it: datetime, categorical, linear, log, …"""
        if self._dated:
            return "datetime"
        return "categorical" if self._names else str(self._axis.get_scale())

    @property
    def label(self) -> str:
        """The text beside it."""
        return str(self._axis.get_label_text())

    def value(self, number: float) -> Any:
        """What is at a position: a date, a category, or the number itself."""
        if self._names:
            return self._names.get(round(number), plain(number))
        return plain(self._moment(number) if self._dated else number)

    def values(self, given: list[Any]) -> list[Any]:
        """What was plotted, where it was positions already."""
        if not self._dated:
            return given
        return [self.value(value) if isinstance(value, (int, float)) else value for value in given]

    def name(self, number: float, reach: float) -> str:
        """The label that belongs to a position: of a category or a tick that is set by hand, no farther than `reach`
        away; else what is there."""
        places = [(place, str(name)) for place, name in self._names.items()] or self._labels
        near = min(places, key=lambda place: abs(place[0] - number), default=None)
        if near is not None and near[1] and abs(near[0] - number) <= reach * 1.000001:
            return near[1]
        value = self.value(number)
        return format(value, ".10g") if isinstance(value, float) else str(value)

    def ticks(self, name: str) -> dict[str, Any]:
        """The chart's keys about its ticks, those of the axis `name`."""
        places = list(self._axis.get_majorticklocs())[:_MAX_TICKS]
        labels = self._axis.get_major_formatter().format_ticks(places)
        return {
            f"{name}_scale": self.kind,
            f"{name}_ticks": [self.value(place) for place in places],
            f"{name}_tick_labels": [str(label) for label in labels],
        }

    def _moment(self, number: float) -> Any:
        if self._frequency is not None:
            from pandas import Period

            return Period(ordinal=round(number), freq=self._frequency)
        from matplotlib.dates import num2date

        return num2date(number)  # type: ignore[no-untyped-call]

    def _fixed_labels(self) -> list[tuple[float, str]]:
        places = [float(place) for place in self._locator.locs]
        labels = self._axis.get_major_formatter().format_ticks(places)
        return [(place, str(label)) for place, label in zip(places, labels, strict=False)]
