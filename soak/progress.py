"""What is printed while it goes on: a line at every quiet point."""

from __future__ import annotations

import time

from soak.judgement import Sample
from soak.tally import Tally


class Progress:
    """Prints to stdout, with the seconds since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._done: dict[str, int] = {}
        self._told = 0

    def tell(self, what: str) -> None:
        """A line."""
        print(f"{time.monotonic() - self._began:6.0f} s  {what}", flush=True)

    def sample(self, sample: Sample, tally: Tally) -> None:
        """A quiet point: what was done since the last one, and what the service takes; failures in full."""
        groups: dict[str, int] = {}
        for name, seconds in list(tally.seconds.items()):
            group = name.partition(".")[0]
            groups[group] = groups.get(group, 0) + len(seconds)
        since = ", ".join(f"{count - self._done.get(name, 0)} {name}" for name, count in sorted(groups.items()))
        self._done = groups
        values = sample.values
        self.tell(
            f"quiet after {tally.operations} operations and {sample.runs} runs, {tally.errors} failed; "
            f"service {values['service memory'] / 1e6:.1f} MB, {values['service descriptors']:.0f} descriptors, "
            f"{values['service threads']:.0f} threads, {values['processes']:.0f} processes; since: {since}"
        )
        for failure in tally.failures[self._told :]:
            self.tell(f"FAILED {failure.where}, client {failure.client}:\n{failure.said}")
        self._told = len(tally.failures)
