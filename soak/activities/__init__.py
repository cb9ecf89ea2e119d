"""What clients do: one module a noun, one function an activity, and how often each is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from soak.activities import (
    artifacts,
    code_runs,
    commands,
    contexts,
    files,
    interrupts,
    kills,
    looks,
    plots,
    prints,
    runs,
    sandboxes,
    streams,
    terminals,
)
from soak.caller import Caller


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that a client does, which removes what it has made. `weight` is how often it is chosen, among all."""

    do: Callable[[Caller], None]
    weight: int

    @property
    def name(self) -> str:
        """Its module and its function."""
        return f"{self.do.__module__.rpartition('.')[2]}.{self.do.__name__}"


# Cheap ones are chosen often, so that each gets a like share of the time.
ACTIVITIES: tuple[Activity, ...] = (
    Activity(runs.value, 12),
    Activity(runs.both_streams, 8),
    Activity(runs.error, 8),
    Activity(runs.rich, 8),
    Activity(runs.variables, 6),
    Activity(runs.answered, 6),
    Activity(plots.figure, 4),
    Activity(plots.frame, 4),
    Activity(prints.flushed, 4),
    Activity(prints.large, 2),
    Activity(prints.nameless, 4),
    Activity(interrupts.loop, 4),
    Activity(interrupts.waiting, 4),
    Activity(interrupts.asleep, 4),
    Activity(interrupts.timed, 2),
    Activity(kills.ended, 2),
    Activity(kills.signalled, 2),
    Activity(kills.starved, 1),
    Activity(streams.resumed, 4),
    Activity(streams.shared, 3),
    Activity(streams.abandoned, 3),
    Activity(files.transferred, 4),
    Activity(files.seen_by_code, 3),
    Activity(files.watched, 1),
    Activity(contexts.python, 3),
    Activity(contexts.session, 3),
    Activity(sandboxes.lived, 2),
    Activity(sandboxes.paused, 1),
    Activity(sandboxes.busy, 1),
    Activity(commands.foreground, 6),
    Activity(commands.background, 4),
    Activity(commands.stopped, 3),
    Activity(terminals.used, 3),
    Activity(code_runs.queued, 1),
    Activity(code_runs.cancelled, 1),
    Activity(artifacts.kept, 1),
    Activity(looks.metrics, 3),
    Activity(looks.records, 4),
)
