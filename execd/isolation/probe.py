"""Which modes of isolation this machine allows: each is tried, in processes of its own, and the strongest one chosen.

To be called where there is one thread: a sandbox's holder dies with the thread that started it.
"""

from __future__ import annotations

import errno
import functools
import os
import select
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from execd.isolation import bubblewrap, cgroup, entering, etc, holder, landlock, seccomp
from execd.isolation.entrance import join, settle
from execd.isolation.guarantees import REMEDIES
from execd.isolation.plan import Mode, Plan
from execd.isolation.stage import staged

AUTO = "auto"

_WITHIN = 10.0


class Refused(Exception):
    """The wanted isolation is not to be had; the message says why, and how to get it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found. A mode is missing for the reason that stands in `obstacles`, or is there. `bwrap` is
    bubblewrap's path; `disable_userns` whether it may turn user namespaces off inside, `fresh_proc` whether it may
    mount a new /proc; `own_users` whether a sandbox can be a user of its own; `controllers` are those of control
    groups, of version `cgroup`, None for neither."""

    obstacles: dict[Mode, str]
    bwrap: str | None = None
    disable_userns: bool = False
    fresh_proc: bool = False
    landlock_abi: int = 0
    own_users: bool = False
    cgroup: int | None = None
    controllers: frozenset[str] = frozenset()


def choose(wanted: str, facts: Facts) -> Mode:
    """The mode to use: what is wanted, or with AUTO the stronger one of bwrap and landlock that there is. Never a
    weaker one than asked for, and no walls at all only by name. Raises Refused."""
    candidates = [Mode.BWRAP, Mode.LANDLOCK] if wanted == AUTO else [Mode(wanted)]
    for mode in candidates:
        if mode not in facts.obstacles:
            return mode
    reasons = "; ".join(f"{mode}: {' '.join(facts.obstacles[mode].split())}" for mode in candidates)
    raise Refused(f"this machine allows no isolation of the kind that is wanted ({reasons}). {REMEDIES[candidates[0]]}")


def probe(user: int | None, program: str | None = None, *, enable: bool = True) -> Facts:
    """Try everything, for sandboxes of this user of the machine (None: our own), with this bubblewrap (None: the one
    that is found). Takes some ten milliseconds. `enable`: make control groups ready for use, if it takes that."""
    own_users = user is not None and _tried(functools.partial(_become, user)) is None
    user = user if own_users else None
    program = program or bubblewrap.program()
    walls, around = _try_bwrap(program, user)
    version = landlock.abi()
    restriction = _try_landlock(version, user)
    obstacles = {Mode.BWRAP: walls, Mode.LANDLOCK: restriction}
    found = _cgroup(enable=enable)
    return Facts(
        obstacles={mode: reason for mode, reason in obstacles.items() if reason is not None},
        bwrap=program,
        disable_userns=around is not None and around.disable_userns,
        fresh_proc=around is not None and around.fresh_proc,
        landlock_abi=version,
        own_users=own_users,
        cgroup=found.version if found else None,
        controllers=found.controllers if found else frozenset(),
    )


def _cgroup(*, enable: bool) -> cgroup.Groups | None:
    try:
        return cgroup.groups(enable=enable)
    except cgroup.Unavailable:
        return None


def _try_bwrap(program: str | None, user: int | None) -> tuple[str | None, bubblewrap.Surroundings | None]:
    if program is None:
        return "bubblewrap is not installed", None
    if user is None and os.geteuid() == 0:
        return "root's service cannot give sandboxes a user of their own (CAP_SETUID, CAP_SETGID)", None
    try:
        place = tempfile.TemporaryDirectory(prefix="execd-probe-")
    except OSError as error:
        return f"no temporary folder: {error.strerror}", None
    with place as name:
        folder = Path(name)
        (folder / "etc").mkdir()
        for file in etc.WRITTEN:
            (folder / "etc" / file).touch()
        reason = None
        for disable_userns, fresh_proc in ((True, True), (False, True), (False, False)):
            around = bubblewrap.Surroundings.found(
                program, str(folder / "etc"), disable_userns=disable_userns, fresh_proc=fresh_proc
            )
            tried = _tried(functools.partial(_enter, around, user))
            if tried is None:
                return None, around
            reason = reason or tried
        return reason, None


def _enter(around: bubblewrap.Surroundings, user: int | None) -> None:
    plan, prepare = Plan("probe", Mode.BWRAP, user, "/workspace", etc.HOME), None
    how = entering.entrance(plan, os.getpid())
    if os.geteuid() == 0:
        plan, around, prepare = staged(plan, around)
    command = bubblewrap.command(plan, around, seccomp.program(str(Mode.BWRAP)))
    held = holder.hold(command, user, prepare=prepare, within=_WITHIN)

    def inside() -> None:
        join(how, held.pidfd)
        reason = _tried(lambda: settle(how))
        if reason is not None:
            raise OSError(errno.EPERM, reason)

    try:
        reason = _tried(inside)
        if reason is not None:
            raise OSError(errno.EPERM, reason)
    finally:
        held.kill()
        os.close(held.pidfd)
        os.waitpid(held.bwrap, 0)


def _try_landlock(version: int, user: int | None) -> str | None:
    if version < landlock.TCP_SINCE:
        return f"the kernel's Landlock is of version {version}, which knows no TCP; 6.7 is the first that does"
    if user is None and version < landlock.SCOPE_SINCE:
        return f"Landlock of version {version} does not keep signals from the service; Linux 6.12, or root, is needed"
    if user is None and os.geteuid() == 0:
        return "root's service cannot give sandboxes a user of their own (CAP_SETUID, CAP_SETGID)"
    plan = Plan("probe", Mode.LANDLOCK, user, "/nonexistent", "/nonexistent")

    def restrict() -> None:
        settle(entering.entrance(plan, os.getppid()), ruleset=landlock.ruleset(landlock.rules(plan)))

    return _tried(restrict)


def _become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _tried(attempt: Callable[[], object]) -> str | None:
    """What failed when a fork of ours did this; None for nothing. Nothing of it is left."""
    said, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
            os.write(end, b"+")
        except BaseException as error:  # noqa: BLE001 - it is told
            os.write(end, f"-{_words(error)}".encode())
        finally:
            os._exit(0)
    os.close(end)
    try:
        told = os.read(said, 4096) if select.select([said], [], [], 2 * _WITHIN)[0] else b"-it takes too long"
    finally:
        os.close(said)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None if told == b"+" else told[1:].decode(errors="replace") or "the process was killed"


def _words(error: BaseException) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
