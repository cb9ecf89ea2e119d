"""Volumes: folders of the machine that a sandbox asks to see, all below one root that the operator names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from execd.errors import InvalidRequest
from execd.isolation.plan import Bind

_RESERVED = re.compile(r"/(proc|sys|dev|run|usr|etc|bin|sbin|lib[0-9a-z]*)(/|\Z)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Volume:
    """What is asked for: a folder of the machine (`host`), or a volume by its `name`, which is made when it is
    missing, for everybody to write; `below` is a folder in it, and `target` where the sandbox sees it. `field` names
    it in complaints."""

    field: str
    target: str
    host: str = ""
    name: str = ""
    below: str = ""
    read_only: bool = False


def bind(volume: Volume, root: Path | None) -> Bind:
    """The bind mount that a volume is. Raises InvalidRequest for what is not below the root, by any symlink."""
    if root is None:
        raise InvalidRequest("this service has no volumes; EXECD_VOLUME_ROOT names the folder for them", volume.field)
    if not volume.target.startswith("/") or volume.target == "/" or ".." in volume.target.split("/"):
        raise InvalidRequest(f"expected an absolute path to mount at, got {volume.target[:200]!r}", volume.field)
    if _RESERVED.match(os.path.normpath("/" + volume.target.lstrip("/"))):
        raise InvalidRequest(f"nothing can be mounted at {volume.target[:200]!r}: the system is there", volume.field)
    source = _source(volume, root.resolve())
    return Bind(str(source), volume.target, writable=not volume.read_only)


def _source(volume: Volume, root: Path) -> Path:
    if volume.name:
        if not _NAME.fullmatch(volume.name):
            said = f"expected a name of letters, digits, . _ and -, got {volume.name[:200]!r}"
            raise InvalidRequest(said, volume.field)
        outer = root / volume.name
        _make(outer)
    else:
        outer = Path(volume.host)
    source = _inside(outer / volume.below.lstrip("/"), _inside(outer, root, volume), volume)
    if volume.name and volume.below:
        _make(source)
    if not source.is_dir():
        raise InvalidRequest(f"expected a folder that exists, {str(source)!r} is none", volume.field)
    return source


def _make(folder: Path) -> None:
    # Sandboxes are different users of the machine, and each of them shall be able to put something there.
    if not folder.exists():
        if not folder.parent.exists():
            _make(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)


def _inside(path: Path, root: Path, volume: Volume) -> Path:
    resolved = path.resolve()
    if resolved != root and root not in resolved.parents:
        raise InvalidRequest(f"volumes are below EXECD_VOLUME_ROOT, and {str(path)[:200]!r} is not", volume.field)
    return resolved
