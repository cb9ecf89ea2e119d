"""The bodies of OpenSandbox's lifecycle API, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from execd.wire.execd.schemas import Body, PathText, Text

Name = Annotated[Text, StringConstraints(min_length=1)]


class ImageBody(Body):
    """What the sandbox is to be made from."""

    uri: Name = Field(description="An image; the service's settings say which it accepts.")


class HostBody(Body):
    """A folder of the machine."""

    path: PathText = Field(min_length=1)


class ClaimBody(Body):
    """A named volume."""

    claimName: Name  # noqa: N815  # the API's name


class VolumeBody(Body):
    """A volume: a folder of the machine, or a named one."""

    name: Text = ""
    mountPath: PathText = Field(description="Where the sandbox sees it.")  # noqa: N815
    readOnly: bool = False  # noqa: N815
    subPath: PathText = ""  # noqa: N815
    host: HostBody | None = None
    pvc: ClaimBody | None = None
    ossfs: dict[str, Any] | None = None


class NewSandbox(Body):
    """POST /sandboxes."""

    image: ImageBody | None = None
    entrypoint: list[Text] = Field([], description="Kept and shown; nothing runs it: a sandbox needs no main process.")
    env: dict[Name, Text] = Field({}, description="Variables of everything in the sandbox.")
    metadata: dict[Name, Text] = Field({})
    timeout: int | None = Field(None, gt=0, description="Seconds; null: as long as the service's settings allow.")
    resourceLimits: dict[str, Text] = Field({}, description="cpu (1, 500m) and memory (512Mi, 2Gi).")  # noqa: N815
    volumes: list[VolumeBody] = Field([])
    extensions: dict[str, Text] = Field({}, description="Kept and shown.")
    platform: dict[str, Text] | None = None
    networkPolicy: dict[str, Any] | None = None  # noqa: N815
    credentialProxy: dict[str, Any] | None = None  # noqa: N815
    lifecycle: dict[str, Any] | None = None
    snapshotId: Text | None = None  # noqa: N815
    templateId: Text | None = None  # noqa: N815
    secureAccess: bool = False  # noqa: N815


class MetadataPatch(BaseModel):
    """PATCH /sandboxes/{id}/metadata: values to set; null removes."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[str, StringConstraints(strict=True)] | None]


class Renewal(Body):
    """POST /sandboxes/{id}/renew-expiration, and its answer."""

    expiresAt: Name = Field(description="RFC 3339, with its offset.")  # noqa: N815


class StatusBody(BaseModel):
    """What a sandbox is at present."""

    state: str = Field(description="Pending, Running, Paused or Terminated")


class SandboxBody(BaseModel):
    """A sandbox."""

    id: str
    status: StatusBody
    createdAt: str  # noqa: N815
    entrypoint: list[str]
    expiresAt: str | None = None  # noqa: N815
    metadata: dict[str, str] | None = None
    extensions: dict[str, str] | None = None
    platform: dict[str, str] | None = None
    image: ImageBody | None = None


class PaginationBody(BaseModel):
    """Which part of a list this is."""

    page: int
    pageSize: int  # noqa: N815
    totalItems: int  # noqa: N815
    totalPages: int  # noqa: N815
    hasNextPage: bool  # noqa: N815


class SandboxListBody(BaseModel):
    """GET /sandboxes."""

    items: list[SandboxBody]
    pagination: PaginationBody


class EndpointBody(BaseModel):
    """Where a port of a sandbox is reached, and what headers that takes."""

    endpoint: str = Field(description="Without a scheme, with a path.")
    headers: dict[str, str] | None = None


class NetworkRuleBody(Body):
    """Whether somebody may be reached: a name, *.name, an IP address or a CIDR."""

    action: Literal["allow", "deny"]
    target: Name


class NetworkPolicyBody(Body):
    """Whom a sandbox reaches: the first rule that fits counts, and `defaultAction` where none does."""

    defaultAction: Literal["allow", "deny"] = "deny"  # noqa: N815
    egress: list[NetworkRuleBody] = Field([])


class PolicyBody(BaseModel):
    """GET /policy."""

    status: str
    mode: str = Field(description="allow_all, deny_all or custom")
    enforcementMode: str = Field(description="The network that the sandbox has: none, proxy or full")  # noqa: N815
    policy: NetworkPolicyBody
    reason: str | None = None


class HealthBody(BaseModel):
    """GET /health."""

    status: str


class VersionBody(BaseModel):
    """GET /version."""

    version: str
