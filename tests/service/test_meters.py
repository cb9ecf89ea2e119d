"""What is counted, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from execd.service.meters import Meters

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(meters: Meters) -> Samples:
    """Every sample of an exposition, by name and labels."""
    families = text_string_to_metric_families(meters.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_everything_is_counted() -> None:
    meters = Meters()
    meters.request_answered("/code", "POST", 200)
    meters.request_answered("/code", "POST", 200)
    meters.request_answered("", "BREW", 404)
    meters.execution_ended("code", "python", "succeeded")
    meters.kernel_started("python", 0.3)
    meters.bytes_streamed(10)
    meters.bytes_streamed(5)
    found = samples(meters)
    assert of(found, "execd_requests_total", route="/code", method="POST", status="200") == 2
    assert of(found, "execd_requests_total", route="none", method="other", status="404") == 1
    assert of(found, "execd_executions_total", kind="code", language="python", status="succeeded") == 1
    assert of(found, "execd_kernel_start_seconds_count", language="python") == 1
    assert of(found, "execd_kernel_start_seconds_bucket", language="python", le="0.25") == 0
    assert of(found, "execd_kernel_start_seconds_bucket", language="python", le="0.5") == 1
    assert of(found, "execd_streamed_bytes_total") == 15
    assert of(found, "execd_events_dropped_total") == 0


def test_gauges_ask_for_what_is_now() -> None:
    meters = Meters()
    queued = [1]
    meters.show(lambda: len(queued), lambda: 7, lambda: 3)
    shown = [of(samples(meters), f"execd_{name}") for name in ("queue_depth", "kernels", "commands")]
    assert shown == [1, 7, 3]
    queued.append(2)
    assert of(samples(meters), "execd_queue_depth") == 2


def test_two_applications_count_apart_and_nothing_counts_globally() -> None:
    first, second = Meters(), Meters()
    first.bytes_streamed(3)
    assert of(samples(second), "execd_streamed_bytes_total") == 0
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("execd")]
