"""What the warden makes sandboxes with: control groups, bubblewrap, and an /etc for all of them."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from execd.isolation import bubblewrap, cgroup, etc, probe
from execd.isolation.plan import Plan


class Means:
    """Found out when first needed. `folder` is the warden's, whose groups are named after it."""

    def __init__(self, folder: str) -> None:
        self._etc = os.path.join(folder, "etc")
        self._prefix = f"execd-{zlib.crc32(folder.encode()):08x}-"
        self._groups: cgroup.Groups | None = None
        self._looked = False
        self._facts: dict[int | None, probe.Facts] = {}
        self._around: bubblewrap.Surroundings | None = None

    @property
    def controllers(self) -> frozenset[str]:
        """What can be bounded, or done, for a group as a whole."""
        groups = self._find_groups()
        return groups.controllers if groups is not None else frozenset()

    def group(self, plan: Plan) -> cgroup.Group | None:
        """A group for a sandbox, None where none can be made. Raises OSError."""
        groups = self._find_groups()
        return None if groups is None else groups.create(self._prefix + plan.id, plan.limits)

    def facts(self, user: int | None, program: str | None = None) -> probe.Facts:
        """What this machine allows for sandboxes of this user, with this bubblewrap (None: the system's)."""
        if user not in self._facts:
            self._facts[user] = probe.probe(user, program)
        return self._facts[user]

    def describe(self, user: int | None, program: str | None) -> dict[str, Any]:
        """The same, for a client."""
        facts = asdict(self.facts(user, program))
        return {**facts, "controllers": sorted(facts["controllers"])}

    def surroundings(self, user: int | None) -> bubblewrap.Surroundings:
        """What sandboxes have around them. Raises OSError where bubblewrap does not work."""
        if self._around is None:
            facts = self.facts(user)
            if facts.bwrap is None or "bwrap" in facts.obstacles:
                raise OSError(errno.ENOSYS, f"bubblewrap does not work here: {facts.obstacles}")
            shutil.rmtree(self._etc, ignore_errors=True)
            etc.furnish(Path(self._etc))
            self._around = bubblewrap.Surroundings.found(
                facts.bwrap, self._etc, disable_userns=facts.disable_userns, fresh_proc=facts.fresh_proc
            )
        return self._around

    def clear(self) -> None:
        """Kill what an earlier warden of this folder, which was killed, has left in its groups."""
        groups = self._find_groups()
        for group in groups.existing(self._prefix).values() if groups is not None else ():
            group.kill()
            group.remove()

    def _find_groups(self) -> cgroup.Groups | None:
        if not self._looked:
            self._looked = True
            try:
                self._groups = cgroup.groups()
            except (cgroup.Unavailable, OSError):
                self._groups = None
        return self._groups
