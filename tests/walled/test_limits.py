"""Limits are asked for in two dialects, hold, and are what a sandbox's metrics are measured against."""

from __future__ import annotations

import time

import httpx
import pytest

from execd.isolation import cgroup
from tests.inside import Inside, new_sandbox

MIB = 1024 * 1024
SPIN = "python3 -c 'import time; end = time.time() + 30\nwhile time.time() < end: pass'"
# Half of it would be there without a limit of the whole: the limit holds for all of its processes together.
GREEDY = "python3 -c 'a = bytearray({mib} << 20); a[::4096] = b\"x\" * len(a[::4096]); import time; time.sleep({wait})'"


def controlled(limit: str) -> None:
    """Skip where there are no control groups for it."""
    try:
        found = cgroup.groups().controllers
    except (cgroup.Unavailable, OSError) as error:
        pytest.skip(f"there are no control groups here: {error}")
    if limit not in found:
        pytest.skip(f"no control group bounds {limit} here")


def opensandbox(client: httpx.Client, cpu: str, memory: str) -> Inside:
    """A sandbox of that API with these limits."""
    asked = {"image": {"uri": "any"}, "timeout": 300, "resourceLimits": {"cpu": cpu, "memory": memory}}
    answer = client.post("/opensandbox/v1/sandboxes", json=asked).raise_for_status()
    return Inside(client, answer.json()["id"])


def test_metrics_are_the_sandbox_s(client: httpx.Client) -> None:
    controlled("memory")
    with new_sandbox(client, vcpus=1, memory_mb=300) as sandbox:
        [sample] = client.get(f"{sandbox.url}/metrics").json()
        assert (sample["cpu_count"], sample["mem_total_bytes"]) == (1, 300 * MIB)
        assert sample["mem_used_bytes"] < 100 * MIB
        assert (sample["network_rx_bytes"], sample["network_tx_bytes"]) == (0, 0)
        assert 0 < sample["disk_used_bytes"] < sample["disk_total_bytes"]
        sandbox.run(GREEDY.format(mib=120, wait=600), background=True)
        deadline = time.monotonic() + 30
        while client.get(f"{sandbox.execd}/metrics").json()["mem_used_mib"] < 120:
            assert time.monotonic() < deadline
        assert client.get(f"{sandbox.execd}/metrics").json()["mem_total_mib"] == 300


def test_memory_is_bounded_for_all_processes_together(client: httpx.Client) -> None:
    controlled("memory")
    sandbox = opensandbox(client, "500m", "128Mi")
    try:
        assert client.get(f"{sandbox.execd}/metrics").json()["mem_total_mib"] == 128
        assert sandbox.run(GREEDY.format(mib=70, wait=0))["exit_code"] == 0
        greedy = GREEDY.format(mib=70, wait=0.5)
        line = f"{greedy} & one=$!; {greedy} & two=$!; wait $one; one=$?; wait $two; echo $one $?"
        assert "137" in sandbox.run(line)["stdout"].split()
        assert sandbox.out("echo alive") == "alive"
    finally:
        client.delete(sandbox.url)


def test_half_a_cpu(client: httpx.Client) -> None:
    controlled("cpu")
    sandbox = opensandbox(client, "500m", "256Mi")
    try:
        assert client.get(f"{sandbox.execd}/metrics").json()["cpu_count"] == 0.5
        burn = "import time; a = time.monotonic(); b = time.process_time()\nwhile time.monotonic() - a < 2: pass\n"
        used = float(sandbox.out("python3", "-c", f"{burn}print(time.process_time() - b)"))
        assert used < 1.5
        sandbox.run(SPIN, background=True)
        assert client.get(f"{sandbox.execd}/metrics").json()["cpu_used_pct"] > 0
    finally:
        client.delete(sandbox.url)


def test_no_file_is_larger_than_the_disk_that_was_asked_for(client: httpx.Client) -> None:
    with new_sandbox(client, disk_mb=512) as sandbox:
        assert client.get(sandbox.url).json()["config"]["disk_mb"] == 512
        grow = "open('file', 'wb').truncate({mib} << 20)"
        assert sandbox.run("python3", "-c", grow.format(mib=512))["exit_code"] == 0
        refused = sandbox.run("python3", "-c", grow.format(mib=513))
        assert (refused["exit_code"], "File too large" in refused["stderr"]) == (1, True)
