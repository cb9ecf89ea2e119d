"""What bounds contexts and their runs."""

from __future__ import annotations

from dataclasses import dataclass

from execd.settings import Settings


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """How many contexts there may be, and what each may do. Times in seconds."""

    contexts: int
    queue: int
    run_timeout: float
    run_timeout_max: float
    interrupt_grace: float

    @classmethod
    def of(cls, settings: Settings) -> ContextLimits:
        """Those that the settings say."""
        return cls(
            settings.max_contexts,
            settings.max_queue,
            settings.run_timeout,
            settings.run_timeout_max,
            settings.interrupt_grace,
        )

    def timeout(self, asked: float | None) -> float:
        """The time limit of a run that asks for `asked`."""
        return min(self.run_timeout if asked is None else asked, self.run_timeout_max)
