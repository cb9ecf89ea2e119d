"""What the service counts about itself, for Prometheus. One set for each application: there is no global registry."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_START_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Meters:
    """Counters and gauges; each fact is counted where it happens."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "execd_requests", "HTTP requests answered.", ("route", "method", "status"), registry=registry
        )
        self._executions = Counter(
            "execd_executions", "Executions that have ended.", ("kind", "language", "status"), registry=registry
        )
        self._kernel_starts = Histogram(
            "execd_kernel_start_seconds",
            "Time until a kernel was ready.",
            ("language",),
            buckets=_START_SECONDS,
            registry=registry,
        )
        self._queued = Gauge("execd_queue_depth", "Executions that wait for their turn.", registry=registry)
        self._kernels = Gauge("execd_kernels", "Living kernels.", registry=registry)
        self._commands = Gauge("execd_commands", "Running commands.", registry=registry)
        self._streamed = Counter("execd_streamed_bytes", "Bytes sent on event streams.", registry=registry)
        self._removed = Counter(
            "execd_executions_removed", "Records that the retention has removed.", registry=registry
        )
        self._removed_bytes = Counter(
            "execd_journal_bytes_removed", "Bytes of journals that the retention has removed.", registry=registry
        )
        self._webhooks = Counter(
            "execd_webhook_attempts", "Attempts to deliver to webhooks.", ("outcome",), registry=registry
        )
        self._dropped = Counter(
            "execd_events_dropped", "Events that a journal lost. It loses none, so this stays 0.", registry=registry
        )

    def request_answered(self, route: str, method: str, status: int) -> None:
        """A request on an operation's path (empty: there was none) was answered."""
        self._requests.labels(route or "none", method if method in _METHODS else "other", str(status)).inc()

    def execution_ended(self, kind: str, language: str, status: str) -> None:
        """An execution came to its end; its kind is `code` or `command`."""
        self._executions.labels(kind, language, status).inc()

    def executions_removed(self, count: int, size: int) -> None:
        """The retention has removed executions, with journals of `size` bytes."""
        self._removed.inc(count)
        self._removed_bytes.inc(size)

    def webhook_attempted(self, outcome: str) -> None:
        """An attempt to deliver to a webhook left the delivery delivered, pending or failed."""
        self._webhooks.labels(outcome).inc()

    def kernel_started(self, language: str, seconds: float) -> None:
        """A kernel became ready."""
        self._kernel_starts.labels(language).observe(seconds)

    def bytes_streamed(self, count: int) -> None:
        """Bytes of an event stream were sent."""
        self._streamed.inc(count)

    def show(self, queued: Callable[[], int], kernels: Callable[[], int], commands: Callable[[], int]) -> None:
        """From now on, ask these for the executions that wait, the kernels that live and the commands that run."""
        self._queued.set_function(queued)
        self._kernels.set_function(kernels)
        self._commands.set_function(commands)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format (CONTENT_TYPE)."""
        return generate_latest(self._registry)
