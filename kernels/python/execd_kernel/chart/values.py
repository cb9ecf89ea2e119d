"""Values as JSON has them, and not too many of them."""

import math
from datetime import date, datetime
from typing import Any


def step_of(size: int, limit: int) -> int:
    """Each how-manieth of `size` is chosen so that there are at most `limit`."""
    return max(1, math.ceil(size / limit))


def plain(value: Any) -> Any:
    """One value as JSON: numbers that it has, text, dates in ISO 8601, and null."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    return None if _is_missing(value) else _unwrapped(value)


def plains(values: Any) -> list[Any]:
    """A sequence of values; of any size that is passed in, so cut it before."""
    import numpy as np

    if np.ma.isMaskedArray(values):
        return [plain(value) for value in values.tolist()]
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]")
    return [plain(value) for value in array.ravel().tolist()]


def _is_missing(value: Any) -> bool:
    try:
        return bool(value != value)  # noqa: PLR0124 - so are NaN, NaT and their kin known
    except (TypeError, ValueError):
        return True


def _unwrapped(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "to_timestamp"):  # a period of pandas'
        return plain(value.to_timestamp())
    if hasattr(value, "item"):  # a scalar of numpy's
        return plain(value.item())
    try:
        return plain(float(value))
    except (TypeError, ValueError):
        return str(value)
