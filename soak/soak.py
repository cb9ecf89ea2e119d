"""One soak: a service, clients that use it, looks at it in quiet points, and its end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.errors import RowFailed
from benchmarks.machine import describe
from soak.activities import ACTIVITIES, Activity
from soak.bounds import BOUNDS
from soak.client import Client
from soak.gate import Gate
from soak.judgement import Sample, allowed, judge
from soak.progress import Progress
from soak.quiet import Rest, settled
from soak.remains import complaints, end
from soak.report import Report
from soak.schedule import Schedule
from soak.service_state import ServiceState, open_descriptors
from soak.tally import Failure, Tally
from tests.running_service import RunningService, running_service

# Bounds that are met while caches are filled, so that what is kept on purpose does not look like a leak.
SETTINGS: Mapping[str, str] = {"isolation": "auto", "keep_executions": "300", "keep_artifacts_size": "4194304"}

# What the service frees goes back to the machine, and is not left lying in arenas of threads, where it would look like
# something that is not freed.
ALLOCATOR: Mapping[str, str] = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}

_PATIENCE = 150.0
"""No activity takes so long in seconds; one that does hangs."""

_PATIENCE_OF_USERS = 10.0
"""Seconds that activities may take to end when somebody wants no more."""

_LEAST_LOOKS = 3
"""However slowly a service has started, something can be compared."""

_MANY = 50
"""So many failures are enough to look at."""


@dataclass(frozen=True)
class Order:
    """What is asked for. `settings` are the service's, besides SETTINGS."""

    minutes: float
    seed: int
    clients: int = 4
    settings: Mapping[str, str] = field(default_factory=dict)
    activities: Sequence[Activity] = ACTIVITIES
    rest: Rest = field(default_factory=Rest)


class Soak:
    """Runs once. `tally` and `samples` are what was found so far."""

    def __init__(self, order: Order, progress: Progress) -> None:
        self.tally = Tally()
        self.samples: list[Sample] = []
        self._order = order
        self._progress = progress
        self._gate = Gate(order.clients)
        self._schedule = Schedule.of(order.minutes)
        self._began = time.monotonic()
        self._remains: list[str] = []

    def run(self) -> Report:
        """All of it. Ctrl-C ends it early, and the report says so."""
        machine = describe()
        started = datetime.now(UTC).isoformat(timespec="seconds")
        early = False
        with tempfile.TemporaryDirectory(prefix="execd-soak-", dir="/tmp") as folder:
            settings = {**SETTINGS, **self._order.settings}
            with running_service(Path(folder), variables=_variables(settings)) as service:
                try:
                    self._work(service)
                except KeyboardInterrupt:
                    early = True
                    self._gate.close(_PATIENCE_OF_USERS)
                self._end(service)
        return Report(
            started,
            machine,
            settings,
            self._order.minutes,
            self._order.seed,
            self._order.clients,
            early,
            self.tally,
            tuple(self.samples),
            tuple(judge(self.samples, BOUNDS)),
            tuple(self._remains),
        )

    def _end(self, service: RunningService) -> None:
        self._progress.tell("the end")
        self.tally.close()
        self._gate.end()
        try:
            self._remains += end(ServiceState.of(service))
        except RowFailed as failure:
            self._remains.append(str(failure))
        self._remains += complaints(service)

    def _work(self, service: RunningService) -> None:
        order = self._order
        clients = [
            Client(service, number, order.seed, self._gate, self.tally, order.activities)
            for number in range(order.clients)
        ]
        for client in clients:
            client.start()
        if not self._all_wait(clients):
            return
        self._progress.tell(f"warming up for {self._schedule.warm_up:.0f} s")
        length = self._schedule.warm_up
        while self._round(clients, service, length) and self._goes_on():
            length = self._schedule.next_round(self._now())

    def _round(self, clients: Sequence[Client], service: RunningService, seconds: float) -> bool:
        """Let clients work and look then; whether it makes sense to go on."""
        self._gate.open()
        self._wait(seconds, service)
        if not self._all_wait(clients):
            return False
        if service.process.poll() is not None:
            self._fail("the service", -1, f"ended by itself with {service.process.returncode}")
            return False
        self._look(ServiceState.of(service))
        return self.tally.errors < _MANY

    def _all_wait(self, clients: Sequence[Client]) -> bool:
        if self._gate.close(_PATIENCE):
            return True
        for client in clients:
            if client.doing:
                self._fail(client.doing, client.number, f"has not ended after {_PATIENCE:.0f} s")
        return False

    def _wait(self, seconds: float, service: RunningService) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.tally.errors < _MANY and service.process.poll() is None:
            time.sleep(min(1, max(until - time.monotonic(), 0)))

    def _look(self, state: ServiceState) -> None:
        runs = state.runs()
        counts = settled(state.counts, allowed(self.samples, BOUNDS), self._order.rest)
        descriptors = dict(open_descriptors(state.service.process.pid))
        sample = Sample(self._now(), runs, {**counts, **state.memory()}, descriptors)
        self.samples.append(sample)
        self._progress.sample(sample, self.tally)

    def _fail(self, where: str, client: int, said: str) -> None:
        self.tally.wrong(Failure(where, client, self._now(), said))

    def _goes_on(self) -> bool:
        return self._now() < self._schedule.until or len(self.samples) < _LEAST_LOOKS

    def _now(self) -> float:
        return time.monotonic() - self._began


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"EXECD_{name.upper()}": value for name, value in settings.items()} | dict(ALLOCATOR)
