"""GET /metrics, /metrics/watch, /metrics/prometheus, and what a context's kernel uses."""

from __future__ import annotations

import json

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.live.conftest import NewContext
from tests.live.reading import run

FIELDS = ["cpu_count", "cpu_used_pct", "mem_total_mib", "mem_used_mib", "timestamp"]


def check(reading: dict[str, float]) -> None:
    assert list(reading) == FIELDS
    assert reading["cpu_count"] > 0
    assert 0 <= reading["cpu_used_pct"] <= 100
    assert 0 < reading["mem_used_mib"] < reading["mem_total_mib"]
    assert isinstance(reading["timestamp"], int)


def test_a_reading(client: httpx.Client) -> None:
    check(client.get("/metrics").json())


def test_readings_are_lines_of_json(client: httpx.Client) -> None:
    with client.stream("GET", "/metrics/watch") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        readings = [json.loads(next(lines)) for _ in range(2)]
    for reading in readings:
        check(reading)
    assert readings[1]["timestamp"] - readings[0]["timestamp"] >= 1000


def counted(client: httpx.Client, name: str, **labels: str) -> float:
    """A sample's value, 0 where there is none."""
    answer = client.get("/metrics/prometheus")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return next((sample.value for sample in samples if sample.name == name and sample.labels == labels), 0)


def test_requests_and_runs_are_counted(client: httpx.Client) -> None:
    def figures() -> list[float]:
        return [
            counted(client, "execd_requests_total", route="/code", method="POST", status="200"),
            counted(client, "execd_requests_total", route="none", method="GET", status="404"),
            counted(client, "execd_executions_total", kind="code", language="python", status="succeeded"),
            counted(client, "execd_executions_total", kind="code", language="python", status="failed"),
            counted(client, "execd_streamed_bytes_total"),
        ]

    before = figures()
    run(client, "print('x' * 100_000)")
    run(client, "1 / 0")
    client.get("/nothing/here")
    after = figures()
    assert [later - earlier for earlier, later in zip(before[:4], after[:4], strict=True)] == [2, 1, 1, 1]
    assert after[4] - before[4] > 100_000
    assert counted(client, "execd_events_dropped_total") == 0


def test_commands_are_counted(client: httpx.Client) -> None:
    def figures() -> tuple[float, float]:
        ended = counted(client, "execd_executions_total", kind="command", language="command", status="cancelled")
        return counted(client, "execd_commands"), ended

    running, cancelled = figures()
    with client.stream("POST", "/command", json={"command": "sleep 600"}) as stream:
        assert figures() == (running + 1, cancelled)
        client.delete("/command", params={"id": stream.headers["EXECD-EXECUTION-ID"]}).raise_for_status()
        stream.read()
    assert figures() == (running, cancelled + 1)


def test_kernels_and_their_starts_are_counted(client: httpx.Client, new_context: NewContext) -> None:
    def figures() -> tuple[float, float]:
        started = counted(client, "execd_kernel_start_seconds_count", language="python")
        return counted(client, "execd_kernels"), started

    kernels, starts = figures()
    context_id = new_context()
    assert figures() == (kernels + 1, starts + 1)
    client.delete(f"/code/contexts/{context_id}")
    assert figures() == (kernels, starts + 1)


def test_what_waits_is_counted(client: httpx.Client, context_id: str) -> None:
    with client.stream(
        "POST", "/code", json={"code": "input()", "allow_stdin": True, "context": {"id": context_id}}
    ) as a:
        lines = a.iter_lines()
        assert any("input_request" in line for line in lines)
        with client.stream("POST", "/code", json={"code": "1", "context": {"id": context_id}}) as b:
            assert any("queued" in line for line in b.iter_lines())
            assert counted(client, "execd_queue_depth") == 1
            client.delete("/code", params={"id": context_id})
    assert counted(client, "execd_queue_depth") == 0


def test_a_contexts_kernel_is_measured_with_all_below_it(client: httpx.Client, context_id: str) -> None:
    child = "import sys; held = bytearray(b'x') * (64 << 20); print(1, flush=True); sys.stdin.read()"
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()"
    )
    before = client.get(f"/code/contexts/{context_id}").json()
    run(client, code, id=context_id)
    after = client.get(f"/code/contexts/{context_id}").json()
    assert before["cpu_seconds"] >= 0
    assert after["cpu_seconds"] > before["cpu_seconds"]
    assert after["memory_bytes"] - before["memory_bytes"] > 60 << 20
    assert all("cpu_seconds" not in shown for shown in client.get("/code/contexts").json())
