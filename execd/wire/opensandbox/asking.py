"""What a sandbox asked for in OpenSandbox's words means here. Pure."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl

from execd.errors import InvalidRequest, NotOffered
from execd.isolation.plan import Bind, Limits
from execd.service.images import profile_of
from execd.service.listing import Filter
from execd.service.narrowing import Narrowing
from execd.service.record import Network, SandboxRequest, SandboxStatus
from execd.service.volumes import Volume, bind
from execd.settings import Settings
from execd.wire.opensandbox.schemas import NewSandbox, VolumeBody

STATES = {
    SandboxStatus.CREATING: "Pending",
    SandboxStatus.RUNNING: "Running",
    SandboxStatus.PAUSED: "Paused",
    SandboxStatus.ENDED: "Terminated",
}
# What sandboxes here pass through so quickly that nobody sees it.
_UNSEEN = frozenset({"pausing", "resuming", "stopping", "failed"})

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

_NOT_OFFERED = {
    "snapshotId": "snapshots",
    "templateId": "templates",
    "credentialProxy": "a credential proxy",
    "lifecycle": "lifecycle hooks",
}


def asked(body: NewSandbox, settings: Settings) -> SandboxRequest:
    """The sandbox that is asked for. Raises InvalidRequest, NotOffered."""
    for field, what in _NOT_OFFERED.items():
        if getattr(body, field):
            raise NotOffered(f"{field}: this service has no {what}")
    if body.secureAccess and settings.access_token is None:
        raise NotOffered("secureAccess: endpoints are only as secure as the service; EXECD_ACCESS_TOKEN makes it so")
    if body.image is None:
        raise InvalidRequest("this field is missing", "image")
    shown = {"entrypoint": body.entrypoint, "extensions": body.extensions, "platform": body.platform}
    return SandboxRequest(
        image=body.image.uri,
        profile=profile_of(body.image.uri, settings.sandbox_images, "image.uri"),
        timeout=0 if body.timeout is None else body.timeout,
        envs=body.env,
        metadata=body.metadata,
        limits=_limits(body.resourceLimits),
        network=Network(rules=_rules(body)),
        volumes=tuple(_bind(number, volume, settings.volume_root) for number, volume in enumerate(body.volumes)),
        dialect={name: value for name, value in shown.items() if value},
    )


def _rules(body: NewSandbox) -> Narrowing | None:
    return None if body.networkPolicy is None else Narrowing.parse(body.networkPolicy, "networkPolicy")


def quantity(given: str, field: str) -> float:
    """A number in Kubernetes' notation: 2, 500m, 512Mi. Raises InvalidRequest."""
    found = _QUANTITY.fullmatch(given)
    if found is None:
        raise InvalidRequest(f"expected a quantity, such as 2, 500m or 512Mi, got {given[:40]!r}", field)
    unit = found[2] or ""
    return float(found[1]) * (_BINARY_UNITS.get(unit) or _UNITS[unit])


def wanted_of_list(states: list[str], metadata: str) -> Filter:
    """The filter of a list. The metadata is a query string within the query string. Raises InvalidRequest."""
    known = {state.lower(): status for status, state in STATES.items()}
    given = [state.strip().lower() for state in states if state.strip()]
    for state in given:
        if state not in known and state not in _UNSEEN:
            raise InvalidRequest(f"expected one of {', '.join(STATES.values())}, got {state[:40]!r}", "state")
    pairs = parse_qsl(metadata, keep_blank_values=True)
    statuses = frozenset(known[state] for state in given if state in known)
    # Only what nobody is ever seen in: nothing.
    return Filter(statuses or (frozenset({SandboxStatus.ENDED}) if given else frozenset()), metadata=dict(pairs))


def _limits(given: dict[str, str]) -> Limits:
    cpu = quantity(given["cpu"], "resourceLimits.cpu") if given.get("cpu") else None
    memory = quantity(given["memory"], "resourceLimits.memory") if given.get("memory") else None
    return Limits(memory=None if memory is None else round(memory), cpu=cpu)


def _bind(number: int, volume: VolumeBody, root: Path | None) -> Bind:
    field = f"volumes.{number}"
    if (volume.host is None) == (volume.pvc is None):
        raise InvalidRequest("expected either host or pvc; other kinds of volumes are not known here", field)
    return bind(
        Volume(
            field=field,
            target=volume.mountPath,
            host=volume.host.path if volume.host else "",
            name=volume.pvc.claimName if volume.pvc else "",
            below=volume.subPath,
            read_only=volume.readOnly,
        ),
        root,
    )
