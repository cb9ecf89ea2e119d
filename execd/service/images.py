"""Images: clients name them, and each stands for a profile of this service."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from execd.errors import InvalidRequest

PROFILE = "default"


def profile_of(image: str, accepted: Mapping[str, str], field: str) -> str:
    """The profile behind an image: that of the first pattern that fits, the one profile where there are no patterns.
    Raises InvalidRequest for an image that none fits."""
    if not accepted:
        return PROFILE
    for pattern, profile in accepted.items():
        if fnmatchcase(image, pattern):
            return profile
    raise InvalidRequest(f"this service accepts images like {', '.join(accepted)}, got {image[:200]!r}", field)
