"""What a database's failures are called."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from execd.errors import StorageFull, StoreUnusable
from execd.store.failures import storage_error


@pytest.mark.parametrize(
    ("said", "kind", "advice"),
    [
        ("database or disk is full", StorageFull, "free some disk space"),
        ('could not extend file "base/1/2": No space left on device', StorageFull, "free some disk space"),
        ("could not write to file: Disk quota exceeded", StorageFull, "free some disk space"),
        ("database is locked", StoreUnusable, "GET /ready"),
        ("database disk image is malformed", StoreUnusable, "GET /ready"),
        ("connection failed: Connection refused", StoreUnusable, "GET /ready"),
    ],
)
def test_only_a_full_disk_is_called_full(said: str, kind: type[StorageFull], advice: str) -> None:
    error = storage_error(OperationalError("SELECT secret", {}, sqlite3.OperationalError(said)))
    assert type(error) is kind
    assert said in str(error)
    assert advice in str(error)
    assert "SELECT" not in str(error)
