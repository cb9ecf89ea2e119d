"""Identities."""

from __future__ import annotations

import re

from execd.identifiers import new_id


def test_an_id_is_a_prefix_and_twelve_characters() -> None:
    assert re.fullmatch(r"run_[0-9a-z]{12}", new_id("run"))


def test_ids_differ() -> None:
    assert len({new_id("x") for _ in range(1000)}) == 1000
