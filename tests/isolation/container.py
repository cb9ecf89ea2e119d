"""A container as engines make it by default, of the machine's own files and without an engine: with runc."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

_MASKED = ("asound", "acpi", "kcore", "keys", "latency_stats", "timer_list", "scsi")
_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_OPTIONS = ["nosuid", "noexec", "nodev"]


def run(
    folder: Path, argv: list[str], seccomp: dict[str, Any] | None, shown: Path, *, masked: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run this in a new container, as the user 1000 and without a capability. `shown` is a folder that it sees, and
    must not hold the container's own root: with that it would see a /proc that is not masked."""
    root = folder / "rootfs"
    for name in ("usr", "etc", "proc", "sys", "dev", "tmp", "shown"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    (folder / "config.json").write_text(json.dumps(_specification(argv, seccomp, shown, masked)))
    command = ["runc", "--root", str(folder / "state"), "run", "--bundle", str(folder), _name()]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)


def _specification(argv: list[str], seccomp: dict[str, Any] | None, shown: Path, masked: bool) -> dict[str, Any]:
    linux: dict[str, Any] = {
        "namespaces": [{"type": name} for name in ("pid", "ipc", "uts", "mount", "network")],
        "maskedPaths": [*(f"/proc/{name}" for name in _MASKED), "/sys/firmware"] if masked else [],
        "readonlyPaths": [f"/proc/{name}" for name in _READ_ONLY] if masked else [],
        "cgroupsPath": f"/{_name()}",
    }
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 1000, "gid": 1000},
            "args": argv,
            "env": ["PATH=/usr/bin:/bin", "HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1"],
            "cwd": "/tmp",
            "capabilities": {},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "container",
        "mounts": [
            _mount("/proc", "proc", _OPTIONS),
            _mount("/dev", "tmpfs", ["nosuid", "mode=755", "size=65536k"]),
            _mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            _mount("/dev/shm", "tmpfs", [*_OPTIONS, "mode=1777", "size=65536k"]),
            _mount("/sys", "sysfs", [*_OPTIONS, "ro"]),
            _mount("/tmp", "tmpfs", ["mode=1777"]),
            *(_mount(path, "bind", ["rbind", "ro"], path) for path in ("/usr", "/etc")),
            _mount("/shown", "bind", ["rbind", "ro"], str(shown)),
        ],
        "linux": linux if seccomp is None else {**linux, "seccomp": seccomp},
    }


def _mount(target: str, kind: str, options: list[str], source: str | None = None) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source or kind, "options": options}


def _name() -> str:
    return f"execd-test-{os.getpid()}-{secrets.token_hex(4)}"
