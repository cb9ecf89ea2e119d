"""The bodies that are about files."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import InvalidRequest
from execd.service.files import info_of
from execd.service.metrics import Reading
from execd.service.ownership import Permission
from execd.wire.body import parse_model
from execd.wire.execd.file_schemas import (
    FileInfoBody,
    FileMetadata,
    MetricsBody,
    Moves,
    PermissionBody,
    PermissionsByPath,
    Replacements,
)
from execd.wire.execd.infos import shown
from tests.machine import MACHINE


def test_files_are_shown_as_the_document_says() -> None:
    found = info_of(MACHINE, Path("/"))
    body = shown(found)
    assert list(body) == list(FileInfoBody.model_fields)
    assert FileInfoBody.model_validate(body).model_dump() == asdict(found)


def test_readings_are_shown_as_the_document_says() -> None:
    assert [field.name for field in fields(Reading)] == list(MetricsBody.model_fields)


@given(st.integers(0, 0o7777))
def test_a_mode_is_octal_digits(bits: int) -> None:
    assert PermissionBody(mode=int(f"{bits:o}"), owner="", group="").permission() == Permission(bits)


@pytest.mark.parametrize("raw", [b"{}", b'{"mode": 0}', b'{"mode": null, "owner": null, "group": ""}'])
def test_nothing_asked_for_changes_nothing(raw: bytes) -> None:
    assert parse_model(raw, PermissionBody).permission() == Permission()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"mode": 8}', "mode: expected up to four octal digits"),
        (b'{"mode": true}', "mode: expected a valid integer"),
        (b'{"owner": 7}', "owner: expected a valid string"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_model(raw, PermissionBody)


def test_unknown_fields_and_what_follows_are_ignored() -> None:
    assert parse_model(b'{"path": "a", "more": 1} junk', FileMetadata).path == "a"


def test_bodies_may_be_lists_and_maps_of_paths() -> None:
    assert [found.dest for found in parse_model(b'[{"src": "a", "dest": "b"}]', Moves).root] == ["b"]
    assert list(parse_model(b'{"a": {"mode": 7}}', PermissionsByPath).root) == ["a"]
    with pytest.raises(InvalidRequest, match="body: expected a valid list, got an object"):
        parse_model(b"{}", Moves)
    with pytest.raises(InvalidRequest, match=r"a\.new: this field is missing"):
        parse_model(b'{"a": {"old": "x"}}', Replacements)
    with pytest.raises(InvalidRequest, match="NUL"):
        parse_model(b'{"a\\u0000": {}}', PermissionsByPath)
