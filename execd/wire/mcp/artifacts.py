"""list_artifacts: what runs have made, whatever has become of their sandboxes."""

from __future__ import annotations

from execd.service.caller import tenant
from execd.store.artifacts import WantedArtifacts
from execd.wire.mcp.arguments import ListArtifacts
from execd.wire.mcp.call import Call, sandbox_id
from execd.wire.mcp.reply import Link, Reply
from execd.wire.mcp.structured import ArtifactShown, ArtifactsShown


async def list_artifacts(call: Call, asked: ListArtifacts) -> Reply:
    """The newest first."""
    wanted = WantedArtifacts(
        tenant=tenant(),
        sandbox_id=None if asked.sandbox is None else sandbox_id(asked.sandbox),
        context_id=asked.context,
        execution_id=asked.execution_id,
        kind=asked.kind,
    )
    page = await call.sandboxes.artifacts.page(wanted, asked.limit)
    found = [call.dressed(row) for row in page.items]
    lines = [_line(each) for each in found] or ["there are none"]
    if page.before is not None:
        lines.append(f"[execd] there are more than these {asked.limit}, older ones")
    reply = ArtifactsShown(text="\n".join(lines), artifacts=found, more=page.before is not None)
    return Reply(reply, links=tuple(map(Link.to, found)))


def _line(artifact: ArtifactShown) -> str:
    made = f"{artifact.mime_type}, {artifact.size_bytes} bytes, by {artifact.execution_id} at {artifact.created_at}"
    return f"{artifact.name} ({made}): {artifact.uri}"
