"""The names of what resources/read gives. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

ARTIFACT = "execd://artifacts/{artifact_id}"
OUTPUT = "execd://executions/{execution_id}/output"
FILE = "execd://sandboxes/{sandbox}/files/{+path}"

_ARTIFACT = re.compile(r"execd://artifacts/([A-Za-z0-9_-]+)")
_OUTPUT = re.compile(r"execd://executions/([A-Za-z0-9_-]+)/output")
_FILE = re.compile(r"execd://sandboxes/([A-Za-z0-9_-]+)/files/(.+)")


@dataclass(frozen=True, slots=True)
class ArtifactUri:
    """An artifact's content."""

    artifact_id: str


@dataclass(frozen=True, slots=True)
class OutputUri:
    """All that an execution has printed."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class FileUri:
    """A file of a sandbox, by its absolute path there."""

    sandbox: str
    path: str


def artifact_uri(artifact_id: str) -> str:
    """Of an artifact."""
    return f"execd://artifacts/{artifact_id}"


def output_uri(execution_id: str) -> str:
    """Of what an execution has printed."""
    return f"execd://executions/{execution_id}/output"


def file_uri(sandbox: str, path: str) -> str:
    """Of a file, by its absolute path."""
    return f"execd://sandboxes/{sandbox}/files{quote(path)}"


def parse(uri: str) -> ArtifactUri | OutputUri | FileUri | None:
    """What a URI names, None for nothing of ours."""
    if found := _ARTIFACT.fullmatch(uri):
        return ArtifactUri(found[1])
    if found := _OUTPUT.fullmatch(uri):
        return OutputUri(found[1])
    if found := _FILE.fullmatch(uri):
        return FileUri(found[1], "/" + unquote(found[2]).lstrip("/"))
    return None
