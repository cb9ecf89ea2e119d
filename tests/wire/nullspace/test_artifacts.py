"""What a list of artifacts is asked with."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest
from execd.wire.nullspace import artifacts


@pytest.mark.parametrize("given", ["Image", "", "png"])
def test_what_is_no_kind(given: str) -> None:
    with pytest.raises(InvalidRequest, match="kind"):
        artifacts._kind(given)
    assert artifacts._kind("image") == "image"
    assert artifacts._kind(None) is None
