"""The service is killed again and again while clients run code: what they were told holds, and every run ends once."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.clients import LINES, Client, House, Run, holes, numbers
from tests.running_service import running_service

CLIENTS = 4
RUNS_EACH = 50


@pytest.mark.timeout(400)
def test_every_run_ends_once_and_nothing_comes_twice(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    house = House()
    clients = [Client(house, RUNS_EACH) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    kills = 0
    while any(client.is_alive() for client in clients):
        with running_service(tmp_path) as service:
            house.opened(service.url)
            until = time.monotonic() + chance.uniform(0.05, 2.5)
            for client in clients:
                client.join(max(until - time.monotonic(), 0))
            house.closed()
            kills += 1
            service.stop(signal.SIGKILL)
    assert [client.failure for client in clients] == [None] * CLIENTS, f"seed {seed}"
    assert kills > 2
    # Each time the next service has found the contexts of the one before.
    assert [len(client.contexts) for client in clients] == [1] * CLIENTS
    runs = [run for client in clients for run in client.runs]
    assert len(runs) == CLIENTS * RUNS_EACH
    with running_service(tmp_path) as service, service.client() as http:
        records = http.get("/code/executions", params={"limit": "1000"}).json()
        # A run whose beginning nobody was told may be there as well.
        assert {run.execution_id for run in runs} <= {record["id"] for record in records}
        assert {record["status"] for record in records} <= {"succeeded", "failed"}
        statuses = {record["id"]: record["status"] for record in records}
    for run in runs:
        check(run, statuses[run.execution_id])


def check(run: Run, status: str) -> None:
    """What a client has seen is whole, but where a restart is said to be, and is what the record says."""
    seqs = [event["seq"] for event in run.events]
    assert seqs == sorted(set(seqs)), seqs
    assert set(holes(run.events)) <= {"service_restarted"}, run.events
    ends = [event for event in run.events if event["type"] == "execution_complete"]
    assert [end["status"] for end in ends] == [status]
    printed = list(numbers(run.events))
    found = [number for piece in printed for number in piece]
    assert found == sorted(set(found)), found
    for piece in printed:
        assert piece == list(range(piece[0], piece[0] + len(piece))) if piece else True
    if len(printed) == 1:
        assert status == "succeeded"
        assert found == list(range(LINES))
    elif status == "failed":
        assert ends[0]["reason"] == "service_restarted"
