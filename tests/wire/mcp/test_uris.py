"""The names of resources."""

from __future__ import annotations

import pytest

from execd.wire.mcp.uris import ArtifactUri, FileUri, OutputUri, artifact_uri, file_uri, output_uri, parse


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        (artifact_uri("art_1"), ArtifactUri("art_1")),
        (output_uri("run_1"), OutputUri("run_1")),
        (file_uri("default", "/workspace/a b/ü%.txt"), FileUri("default", "/workspace/a b/ü%.txt")),
        ("execd://sandboxes/sb_1/files/workspace/x", FileUri("sb_1", "/workspace/x")),
        ("execd://artifacts/", None),
        ("execd://artifacts/a/b", None),
        ("execd://executions/run_1", None),
        ("execd://sandboxes//files/x", None),
        ("file:///etc/passwd", None),
        ("", None),
    ],
)
def test_what_they_name(uri: str, meant: object) -> None:
    assert parse(uri) == meant


def test_they_are_ascii() -> None:
    assert file_uri("default", "/ü").isascii()
