"""What the machine bounds besides memory: descriptors, inotify, processes and threads. Whether that is enough for as
many contexts and sandboxes as there may be is known before the first of them is made."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from execd.service.cgroup import ControlGroup
from execd.service.metrics import Machine
from execd.settings import Settings

_CONTEXT_BYTES = 10 * 1024 * 1024


class Resource(StrEnum):
    """What is bounded: of the service's process, of its user, or of everything; threads are the processes, too."""

    DESCRIPTORS = "open files"
    INSTANCES = "inotify instances"
    WATCHES = "inotify watches"
    TASKS = "threads"
    SANDBOX_TASKS = "sandbox threads"


@dataclass(frozen=True, slots=True)
class Cost:
    """What the service takes of a resource, and each sandbox, and each context besides; and what happens without."""

    service: int
    sandbox: int
    context: int
    without: str


_NO_MORE = "no more contexts, sandboxes and commands are started"
_LOOKED_THROUGH = "workspaces are looked through at the end of each run, since they cannot be watched"
_NO_KERNELS = "kernels and commands do not start"
# Measured with Python contexts that have run a cell (`make bench ROW="500-contexts 100-sandboxes"`), and some more: of
# descriptors a context has 13 and a client that follows its run one; of threads a kernel has five. A workspace is
# watched by one instance, and each folder in it takes a watch: fifty are a guess. Of instances other programs of the
# same user have some.
COSTS = {
    Resource.DESCRIPTORS: Cost(200, 5, 14, _NO_MORE),
    Resource.INSTANCES: Cost(8, 1, 0, _LOOKED_THROUGH),
    Resource.WATCHES: Cost(0, 50, 0, _LOOKED_THROUGH),
    Resource.TASKS: Cost(100, 3, 6, _NO_KERNELS),
    Resource.SANDBOX_TASKS: Cost(0, 3, 6, _NO_KERNELS),
}


@dataclass(frozen=True, slots=True)
class Bound:
    """Something that bounds a resource: its name, what it allows, how to have more."""

    resource: Resource
    name: str
    allows: int
    remedy: str


@dataclass(frozen=True, slots=True)
class Population:
    """How many sandboxes there may be at once, how many contexts in all of them, and how many in one of them; kernels
    that wait for the next context are counted as contexts."""

    sandboxes: int
    contexts: int
    contexts_of_one: int

    @classmethod
    def largest(cls, settings: Settings, memory: int) -> Population:
        """The largest that the settings allow, as far as its kernels would go into so many bytes of memory."""
        sandboxes = settings.max_sandboxes + 1
        each = settings.max_contexts + settings.warm_kernels
        in_memory = max(memory // _CONTEXT_BYTES, 1)
        return cls(sandboxes, min(sandboxes * each, in_memory), min(each, in_memory))

    def needs(self, wanted: Resource) -> int:
        """How much of a resource they may take."""
        cost, (sandboxes, contexts) = COSTS[wanted], self._using(wanted)
        return cost.service + sandboxes * cost.sandbox + contexts * cost.context

    def _using(self, wanted: Resource) -> tuple[int, int]:
        return (1, self.contexts_of_one) if wanted is Resource.SANDBOX_TASKS else (self.sandboxes, self.contexts)


def suffices_for(wanted: Resource, allows: int) -> str:
    """What so much of a resource is enough for: sandboxes, or contexts if all of them are in one sandbox."""
    cost = COSTS[wanted]
    rest = allows - cost.service
    if cost.context == 0:
        return f"about {max(rest, 0) // cost.sandbox:,} sandboxes"
    return f"about {max(rest - cost.sandbox, 0) // cost.context:,} contexts"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A bound and what may be needed of it; what it is enough for, what happens when it is met, and how to raise it."""

    resource: str
    bound: str
    allows: int
    needs: int
    enough_for: str
    without: str
    remedy: str

    @property
    def low(self) -> bool:
        """Whether the bound would be met before the settings' own."""
        return self.allows < self.needs


def ceilings(population: Population, bounds: Sequence[Bound]) -> list[Ceiling]:
    """Each resource that is bounded, with the least of its bounds."""
    found: dict[Resource, Bound] = {}
    for bound in sorted(bounds, key=lambda bound: bound.allows):
        found.setdefault(bound.resource, bound)
    return [_ceiling(population, found[each]) for each in Resource if each in found]


def _ceiling(population: Population, bound: Bound) -> Ceiling:
    return Ceiling(
        resource=bound.resource.value,
        bound=bound.name,
        allows=bound.allows,
        needs=population.needs(bound.resource),
        enough_for=suffices_for(bound.resource, bound.allows),
        without=COSTS[bound.resource].without,
        remedy=bound.remedy,
    )


def ceilings_here(settings: Settings, machine: Machine | None = None) -> list[Ceiling]:
    """Those of this machine, for this process."""
    memory, _ = (machine or Machine()).memory()
    return ceilings(Population.largest(settings, memory), list(bounds_here(settings)))


def bounds_here(settings: Settings, proc: Path = Path("/proc"), group: ControlGroup | None = None) -> Iterator[Bound]:
    """What bounds this process and those that it starts."""
    remedy = "LimitNOFILE= in the unit, --ulimit nofile= for the container, or ulimit -Hn in the shell"
    yield from _limit(resource.RLIMIT_NOFILE, Resource.DESCRIPTORS, "the hard limit of open files", remedy)
    for wanted, name in ((Resource.INSTANCES, "max_user_instances"), (Resource.WATCHES, "max_user_watches")):
        yield from _sysctl(proc, wanted, f"fs.inotify.{name}")
    for name in ("kernel.pid_max", "kernel.threads-max"):
        yield from _sysctl(proc, Resource.TASKS, name)
    if os.geteuid() != 0:
        remedy = "LimitNPROC= in the unit, --ulimit nproc= for the container, or ulimit -Hu in the shell"
        yield from _limit(resource.RLIMIT_NPROC, Resource.TASKS, "the hard limit of user processes", remedy)
    tasks = (group or ControlGroup()).limits().tasks
    if tasks is not None:
        remedy = "TasksMax= in the unit, or --pids-limit for the container"
        yield Bound(Resource.TASKS, "the control group's pids.max", tasks, remedy)
    if settings.sandbox_processes and settings.isolation != "process":
        name = "EXECD_SANDBOX_PROCESSES"
        yield Bound(Resource.SANDBOX_TASKS, name, settings.sandbox_processes, f"{name}=…; 0 for any number")


def _limit(which: int, wanted: Resource, name: str, remedy: str) -> Iterator[Bound]:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        yield Bound(wanted, name, hard, remedy)


def _sysctl(proc: Path, wanted: Resource, name: str) -> Iterator[Bound]:
    try:
        allows = int((proc / "sys" / name.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return
    yield Bound(wanted, name, allows, f"sysctl -w {name}=…, and a line in /etc/sysctl.d to have it stay")
