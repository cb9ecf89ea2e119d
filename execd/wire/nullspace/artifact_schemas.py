"""The bodies of Nullspace's API that are about artifacts; all of them go out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from execd.service.media import Kind


class ArtifactBody(BaseModel):
    """A file or a rich output that a run has made."""

    id: str
    context_id: str | None
    execution_id: str
    execution_count: int | None = None
    kind: Kind
    mime_type: str
    name: str
    size_bytes: int
    sha256: str
    created_at: str
    expires_at: str | None = None
    preview_url: str | None = None
    download_url: str | None = None
    metadata: dict[str, Any] = Field(description="`source`: file, with its `path`, or output.")


class ArtifactList(BaseModel):
    """A page of them."""

    items: list[ArtifactBody]
    next_cursor: str | None = None
