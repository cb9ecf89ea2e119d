"""A service that may open few files: it says so, keeps what runs going, and takes nothing new that it cannot hold."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.running_service import RunningService, running_service

SOFT, HARD = 200, 256
_LIMITED = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({SOFT}, {HARD}))
from execd.cli import main
main(prog_name="execd")
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("limited"), program=("-c", _LIMITED), warm_kernels=0) as service:
        yield service


def run(client: httpx.Client, code: str, context_id: str = "") -> str:
    """The stream of a run."""
    context = {"id": context_id} if context_id else {"language": "python"}
    return client.post("/code", json={"code": code, "context": context}).text


def test_it_says_at_start_what_it_is_enough_for(limited: RunningService) -> None:
    said = [json.loads(line) for line in limited.log_file.read_text().splitlines()]
    [low] = [line for line in said if line["event"] == "limit_low" and line["of"] == "open files"]
    assert (low["level"], low["allowed"]) == ("warning", HARD)
    assert "LimitNOFILE=" in low["how"]
    assert said.index(low) < next(number for number, line in enumerate(said) if line["event"] == "serving")


def test_what_it_starts_has_the_limits_that_it_was_started_with(limited: RunningService) -> None:
    ask = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    with limited.client() as client:
        assert f"{SOFT} {HARD}" in client.post("/command", json={"command": "echo $(ulimit -S -n; ulimit -H -n)"}).text
        assert f"{SOFT} {HARD}" in run(client, ask)


def test_with_few_left_nothing_new_is_begun_and_what_runs_goes_on(limited: RunningService) -> None:
    made = []
    with limited.client() as client:
        while (answer := client.post("/code/context", json={"language": "python"})).is_success:
            made.append(answer.json()["id"])
            assert len(made) < 30
        _check_refused(answer)
        _check_refused(client.post("/session", json={}))
        _check_refused(client.post("/v1/sandboxes", json={}))
        client.post("/command", json={"command": "true"}).raise_for_status()
        started = 0
        while (answer := client.post("/command", json={"command": "sleep 1000", "background": True})).is_success:
            started += 1
            assert started < HARD
        _check_refused(answer)
        for context_id in made:
            assert "42" in run(client, "6 * 7", context_id)
        for context_id in made[:3]:
            client.delete(f"/code/contexts/{context_id}").raise_for_status()
        client.post("/code/context", json={"language": "python"}).raise_for_status()


def _check_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 429, answer.text
    assert "Retry-After" in answer.headers
    assert "have the limit of open files raised" in answer.text
