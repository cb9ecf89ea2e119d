"""An artifact: something that a run made and that is kept by itself, as it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from execd.identifiers import new_id
from execd.service.basket import Gathered
from execd.service.execution import Execution
from execd.store.artifacts import ArtifactRow


def row_of(gathered: Gathered, execution: Execution, now: int, expires_at: int) -> ArtifactRow:
    """What was gathered of a run, as a new artifact. Times are Unix ms."""
    source = {"source": "output"} if gathered.path is None else {"source": "file", "path": gathered.path}
    return ArtifactRow(
        id=new_id("art"),
        tenant=execution.origin.tenant,
        sandbox_id=execution.sandbox_id,
        context_id=execution.context_id,
        execution_id=execution.id,
        execution_count=execution.execution_count,
        kind=gathered.media.kind.value,
        mime_type=gathered.media.mime_type,
        name=gathered.name,
        size=gathered.blob.size,
        sha256=gathered.blob.sha256,
        created_at=now,
        expires_at=expires_at,
        detail=source,
    )


def shown(row: ArtifactRow) -> Mapping[str, Any]:
    """All that there is to say of it, in the words of Nullspace's API and of the event `artifact`, but for links. Times
    are RFC 3339; `execution_count` is left out where there is none. `metadata` has `source`: file, with its `path` in
    the sandbox, or output."""
    return {
        "id": row.id,
        "context_id": row.context_id,
        "execution_id": row.execution_id,
        **({} if row.execution_count is None else {"execution_count": row.execution_count}),
        "kind": row.kind,
        "mime_type": row.mime_type,
        "name": row.name,
        "size_bytes": row.size,
        "sha256": row.sha256,
        "created_at": _moment(row.created_at),
        "expires_at": None if row.expires_at is None else _moment(row.expires_at),
        "metadata": dict(row.detail),
    }


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
