"""A call of a tool: what it can reach, whom it can tell how it goes on, and what links it can make."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from execd.service.artifact import shown
from execd.service.caller import default_sandbox
from execd.service.execution import DEFAULT_SANDBOX
from execd.service.links import Link
from execd.service.programs import Programs
from execd.service.sandbox import Sandbox
from execd.service.sandboxes import Sandboxes
from execd.settings import Settings
from execd.store.artifacts import ArtifactRow
from execd.wire.mcp.calls import Underway
from execd.wire.mcp.rendering import Bounds
from execd.wire.mcp.structured import ArtifactShown
from execd.wire.mcp.uris import artifact_uri

_ARTIFACT_LINK = "artifact"

Report = Callable[[float, str], Awaitable[None]]
"""Tells how long it has been going on, in seconds, and what is to be said of that."""


@dataclass(frozen=True, slots=True)
class Call:
    """One. `base` is where the service is reached over HTTP, None where it is not."""

    sandboxes: Sandboxes
    programs: Programs
    underway: Underway
    report: Report
    base: str | None

    @property
    def settings(self) -> Settings:
        """The service's."""
        return self.sandboxes.settings

    @property
    def bounds(self) -> Bounds:
        """How much an answer may hold."""
        return Bounds(self.settings.mcp_output_size, self.settings.mcp_image_size)

    def wait(self, asked: float | None) -> float:
        """How many seconds to wait."""
        return self.settings.mcp_wait if asked is None else asked

    async def sandbox(self, given: str | None) -> Sandbox:
        """The sandbox that is meant. Raises SandboxNotFound, SandboxNotReady, ShuttingDown, SandboxFailed."""
        return await self.sandboxes.enter(sandbox_id(given))

    def dress(self, artifact: Mapping[str, Any]) -> ArtifactShown:
        """An artifact's record, as `execd.service.artifact.shown` has it, as tools show it."""
        return ArtifactShown(
            id=artifact["id"],
            name=artifact["name"],
            kind=artifact["kind"],
            mime_type=artifact["mime_type"],
            size_bytes=artifact["size_bytes"],
            uri=artifact_uri(artifact["id"]),
            path=artifact["metadata"].get("path"),
            download_url=self._artifact_url(artifact["id"]),
            execution_id=artifact["execution_id"],
            created_at=artifact["created_at"],
        )

    def dressed(self, row: ArtifactRow) -> ArtifactShown:
        """The same of its row."""
        return self.dress(shown(row))

    def file_url(self, sandbox: str, path: str) -> str | None:
        """A URL by which a file can be fetched for a while, None where nothing is served over HTTP."""
        if self.base is None:
            return None
        return f"{self.base}/v1/files/signed/{self.sandboxes.links.sign(Link(sandbox, 'download', path))}"

    def _artifact_url(self, artifact_id: str) -> str | None:
        if self.base is None:
            return None
        # Which sandbox made it does not matter to who reads such a link.
        link = Link("", _ARTIFACT_LINK, artifact_id)
        return f"{self.base}/v1/signed/artifacts/{self.sandboxes.links.sign(link)}"


def sandbox_id(given: str | None) -> str:
    """The id of the sandbox that is meant."""
    return default_sandbox() if given is None or given == DEFAULT_SANDBOX else given


def shown_sandbox(identity: str) -> str:
    """The same as it is told to who asks."""
    return DEFAULT_SANDBOX if identity == default_sandbox() else identity
