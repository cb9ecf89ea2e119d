"""An answer of a tool before it is a message: one text, images, links, and the structured content. Values."""

from __future__ import annotations

from dataclasses import dataclass

from execd.wire.mcp.structured import ArtifactShown, Structured


@dataclass(frozen=True, slots=True)
class Image:
    """An image, in base64."""

    mime_type: str
    data: str


@dataclass(frozen=True, slots=True)
class Link:
    """Something that resources/read gives. `size` in bytes, None where nobody knows."""

    uri: str
    name: str
    mime_type: str
    size: int | None = None
    description: str | None = None

    @classmethod
    def to(cls, artifact: ArtifactShown) -> Link:
        """To an artifact."""
        return cls(artifact.uri, artifact.name, artifact.mime_type, artifact.size_bytes, artifact.path)


@dataclass(frozen=True, slots=True)
class Reply:
    """All of it. Some clients show a model only the first block of text, so there is one; `failed` is for the model to
    see that something went wrong."""

    structured: Structured
    images: tuple[Image, ...] = ()
    links: tuple[Link, ...] = ()
    failed: bool = False
