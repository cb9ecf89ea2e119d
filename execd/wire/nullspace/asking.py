"""What a sandbox asked for in Nullspace's words means here, and how one is shown in them. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from execd.errors import InvalidFields, InvalidRequest, NotOffered
from execd.isolation.plan import Limits
from execd.service.images import profile_of
from execd.service.listing import Filter
from execd.service.narrowing import Narrowing
from execd.service.record import Network, SandboxRecord, SandboxRequest, SandboxStatus, TimeoutAction
from execd.service.volumes import Volume, bind
from execd.settings import Settings
from execd.wire.nullspace.generation import Generation
from execd.wire.nullspace.schemas import ConfigBody, MountBody, NullspaceNewSandbox, NullspaceSandbox
from execd.wire.times import rfc3339

STATUSES = {
    SandboxStatus.CREATING: "creating",
    SandboxStatus.RUNNING: "running",
    SandboxStatus.PAUSED: "paused",
    SandboxStatus.ENDED: "destroyed",
}
FIELDS = (
    "id",
    "status",
    "config",
    "template",
    "metadata",
    "started_at",
    "timeout_ms",
    "timeout_at",
    "expires_at",
    "timeout_action",
    "created_at",
    "cwd",
    "snapshot_id",
    "traffic_access_token",
)

_MIB = 1024 * 1024
_NOT_OFFERED = {
    "desktop": "desktops",
    "snapshot_id": "snapshots",
    "auto_resume": "sandboxes that resume by themselves",
    "auto_delete_after_ms": "deletion of paused sandboxes after a time",
}


def asked(body: NullspaceNewSandbox, settings: Settings) -> SandboxRequest:
    """The sandbox that is asked for. Raises InvalidRequest, NotOffered."""
    for field, what in _NOT_OFFERED.items():
        if getattr(body, field):
            raise NotOffered(f"{field}: this service has no {what}")
    if body.warm_pool is not None and body.warm_pool.get("mode") == "require":
        raise NotOffered("warm_pool: this service has no pools to be named")
    if body.cwd is not None and not body.cwd.startswith("/"):
        raise InvalidRequest(f"expected an absolute path, got {body.cwd[:80]!r}", "cwd")
    on_timeout = body.timeout_action or (body.lifecycle.on_timeout if body.lifecycle else None)
    return SandboxRequest(
        image=body.template,
        profile=profile_of(body.template, settings.sandbox_images, "template"),
        timeout=None if body.timeout_ms is None else body.timeout_ms / 1000,
        timeout_action=action(on_timeout) or TimeoutAction.DELETE,
        idle_timeout=None if body.inactivity_timeout_ms is None else body.inactivity_timeout_ms / 1000,
        envs=body.envs,
        metadata=body.metadata,
        cwd=body.cwd,
        limits=Limits(
            memory=body.memory_mb * _MIB,
            cpu=float(body.vcpus),
            workspace_size=None if body.disk_mb is None else body.disk_mb * _MIB,
        ),
        network=_network(body),
        volumes=tuple(bind(_volume(number, mount), settings.volume_root) for number, mount in enumerate(body.volumes)),
        dialect={"ephemeral": body.ephemeral},
    )


def _network(body: NullspaceNewSandbox) -> Network:
    given = body.network or {}
    mode, rules = given.get("mode"), given.get("egress")
    if not given.keys() <= {"mode", "egress"} or not isinstance(mode, str | None):
        raise InvalidRequest("expected mode (none, proxy or full) and egress, and nothing else", "network")
    return Network(body.internet_access, mode, None if rules is None else egress_rules(rules, "network.egress"))


def egress_rules(given: object, field: str) -> Narrowing:
    """What a sandbox is to reach of what it may. Raises InvalidRequest."""
    if not isinstance(given, dict):
        raise InvalidRequest("expected a JSON object", field)
    return Narrowing.parse(given, field)


def action(given: str | None) -> TimeoutAction | None:
    """What happens when the time is over."""
    match given:
        case None:
            return None
        case "destroy":
            return TimeoutAction.DELETE
        case _:
            return TimeoutAction.PAUSE


def shown(record: SandboxRecord, generation: Generation, now: int, active_at: int | None = None) -> dict[str, Any]:
    """A sandbox as this dialect shows it; what is not known is left out."""
    limits = record.wanted.limits
    ends = None if record.expires_at is None else rfc3339(record.expires_at)
    body = NullspaceSandbox(
        id=generation.id(record.id),
        status=STATUSES[record.status],
        config=ConfigBody(
            vcpus=max(math.ceil(limits.cpu or 1), 1),
            memory_mb=max((limits.memory or 0) // _MIB, 1),
            disk_mb=None if limits.workspace_size is None else limits.workspace_size // _MIB,
        ),
        template=record.wanted.image,
        created_at=rfc3339(record.created_at),
        metadata=dict(record.metadata),
        started_at=None if record.started_at is None else rfc3339(record.started_at),
        timeout_ms=milliseconds(record.timeout),
        timeout_at=ends,
        expires_at=ends,
        timeout_action=timeout_action(record),
        cwd=record.wanted.cwd,
        # What is paused is resumed by the name of its snapshot: there is one, and it has the sandbox's.
        snapshot_id=generation.id(record.id) if record.status is SandboxStatus.PAUSED else None,
        remaining_ms=remaining(record, now),
        last_active_at=None if active_at is None else rfc3339(active_at),
        inactivity_timeout_ms=milliseconds(record.idle_timeout),
        ephemeral=record.wanted.dialect.get("ephemeral"),
        workspace_copied_by=record.copied,
        network={"mode": record.reach},
    )
    return body.model_dump(exclude_none=True)


def timeout_action(record: SandboxRecord) -> str:
    """The dialect's word for what happens when the time is over."""
    return "destroy" if record.timeout_action is TimeoutAction.DELETE else "hibernate"


def milliseconds(seconds: float | None) -> int | None:
    """Seconds, as this dialect counts."""
    return None if seconds is None else round(seconds * 1000)


def remaining(record: SandboxRecord, now: int) -> int | None:
    """How much time a sandbox has left, in ms."""
    return None if record.expires_at is None else max(record.expires_at - now, 0)


def mask(given: str | None) -> frozenset[str] | None:
    """The fields that are wanted, None for all. Raises InvalidFields."""
    if given is None:
        return None
    wanted = frozenset(name.strip() for name in given.split(",") if name.strip())
    for name in sorted(wanted):
        if name not in FIELDS:
            raise InvalidFields(name, list(FIELDS))
    return wanted


def masked(body: dict[str, Any], wanted: frozenset[str] | None) -> dict[str, Any]:
    """Only the wanted fields of a sandbox."""
    return body if wanted is None else {name: value for name, value in body.items() if name in wanted}


def wanted_of_list(state: str | None, template: str | None, metadata: str | None) -> Filter:
    """The filter of a list. Raises InvalidRequest."""
    known = {word: status for status, word in STATUSES.items()} | {"error": SandboxStatus.ENDED}
    given = [word.strip() for word in (state or "").split(",") if word.strip()]
    for word in given:
        if word not in known:
            raise InvalidRequest(f"expected some of {', '.join(known)}, got {word[:40]!r}", "state")
    return Filter(frozenset(known[word] for word in given), template or "", _object(metadata))


def _object(given: str | None) -> dict[str, Any]:
    if not given:
        return {}
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest("expected a JSON object", "metadata")
    return found


def _volume(number: int, mount: MountBody) -> Volume:
    return Volume(
        field=f"volumes.{number}",
        target=mount.mount_path or mount.path or "",
        name=mount.volume or mount.volume_id or "",
        below=mount.subpath,
        read_only=mount.read_only,
    )
