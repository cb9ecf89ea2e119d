"""Parts of the service are killed while clients run code: kernels, the zygote, holders of sandboxes, the warden."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.chaos.clients import Client, Run, holes
from tests.chaos.clients import House as Address
from tests.security.houses import BWRAP_ROOT, House, arguments, house

CLIENTS = 3
RUNS_EACH = 20
MOST_KILLS = 8


@pytest.fixture
def own() -> Iterator[House]:
    """A house of the test's own."""
    if (obstacle := BWRAP_ROOT.obstacle()) is not None:
        pytest.skip(obstacle)
    with house(BWRAP_ROOT, warden_patience=2) as made:
        yield made


def _below(pid: int) -> list[int]:
    with suppress(OSError):
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [found for child in children for found in (child, *_below(child))]
    return []


def forks(where: House, *, inside: bool) -> list[int]:
    """The kernels, inside sandboxes, which have the command line of the zygote; or that."""
    alike = [pid for pid in _below(where.warden) if any("zygote.py" in word for word in arguments(pid))]
    return [pid for pid in alike if _walled(pid) is inside]


def _walled(pid: int) -> bool | None:
    with suppress(OSError):
        [numbers] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid")]
        return len(numbers.split()) > 2
    return None


def holders(where: House) -> list[int]:
    """The first processes of sandboxes."""
    return [pid for pid in _below(where.warden) if arguments(pid)[:2] == ["sleep", "infinity"]]


VICTIMS: dict[str, Callable[[House], list[int]]] = {
    "kernels": partial(forks, inside=True),
    "zygote": partial(forks, inside=False),
    "holders": holders,
    "warden": lambda where: [where.warden],
}
MAY_END: dict[str, set[tuple[str, str | None]]] = {
    "kernels": {("succeeded", None), ("failed", "kernel_died")},
    "zygote": {("succeeded", None)},
    "holders": {("succeeded", None), ("failed", "sandbox_lost"), ("failed", "kernel_died")},
    "warden": {("succeeded", None), ("failed", "sandbox_lost"), ("failed", "kernel_died")},
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", VICTIMS)
def test_every_run_ends_once_and_honestly(own: House, part: str) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    address = Address()
    address.opened(own.service.url)
    clients = [Client(address, RUNS_EACH) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    kills = 0
    while any(client.is_alive() for client in clients):
        clients[kills % CLIENTS].join(chance.uniform(0.2, 1.5))
        # In the end it is left in peace: a zygote that is killed as soon as it is there helps nobody.
        kills += kill_one(own, part, chance) if kills < MOST_KILLS else 0
    assert [client.failure for client in clients] == [None] * CLIENTS, f"seed {seed}"
    assert kills > 0
    runs = [run for client in clients for run in client.runs]
    assert {end_of(run) for run in runs} <= MAY_END[part]
    assert all(holes(run.events) == [] for run in runs)
    assert_records(own.client, runs)
    assert own.default.printed("print('still here')") == "still here\n"


def kill_one(own: House, part: str, chance: random.Random) -> int:
    """Kill one of these, if there is one; how many that were."""
    try:
        found = VICTIMS[part](own)
    except (StopIteration, ProcessLookupError):
        # It is just being replaced.
        return 0
    if not found:
        return 0
    with suppress(ProcessLookupError):
        os.kill(chance.choice(found), signal.SIGKILL)
    return 1


def end_of(run: Run) -> tuple[str, str | None]:
    """The one end of a run."""
    [end] = [event for event in run.events if event["type"] == "execution_complete"]
    return end["status"], end.get("reason")


def assert_records(client: httpx.Client, runs: list[Run]) -> None:
    """The records say what the clients were told, and none is left under way."""
    records = client.get("/code/executions", params={"limit": "1000"}).json()
    ends = {record["id"]: (record["status"], record.get("reason")) for record in records}
    assert {run.execution_id: end_of(run) for run in runs}.items() <= ends.items()
    assert {status for status, _ in ends.values()} <= {"succeeded", "failed"}
