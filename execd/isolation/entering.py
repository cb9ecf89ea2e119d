"""From a plan to what it takes to enter the sandbox."""

from __future__ import annotations

import base64
import functools

from execd.isolation import cgroup, seccomp
from execd.isolation.entrance import Entrance
from execd.isolation.etc import INSIDE
from execd.isolation.plan import Mode, Plan


def entrance(plan: Plan, supervisor: int, controllers: frozenset[str] = frozenset()) -> Entrance:
    """How to enter the sandbox that is planned, where these controllers of its control group bound what it uses; the
    rest is bounded for each process. `supervisor` is whom its processes become children of.

    Raises OSError (ENOENT) for walls on an architecture that has no filter.
    """
    limits = plan.limits
    return Entrance(
        mode=str(plan.mode),
        uid=plan.uid,
        inside=INSIDE,
        open_files=limits.open_files,
        file_size=limits.file_size,
        processes=limits.processes if _counts_apart(plan) and cgroup.PIDS not in controllers else None,
        data=limits.memory if cgroup.MEMORY not in controllers else None,
        filter=None if plan.mode is Mode.PROCESS else _filter(str(plan.mode)),
        supervisor=supervisor,
    )


def _counts_apart(plan: Plan) -> bool:
    # The kernel counts a user's processes, in a user namespace: without either of one's own it would count the
    # service's, too.
    return plan.mode is Mode.BWRAP or plan.uid is not None


@functools.cache
def _filter(mode: str) -> str:
    return base64.b64encode(seccomp.program(mode)).decode()
