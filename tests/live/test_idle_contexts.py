"""Contexts that nobody uses give their kernels back, and say so when they are used again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.reading import SUCCEEDED, end_of, kinds, of_type, run, running, text_of
from tests.live.waiting import eventually, is_gone
from tests.running_service import running_service


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client for a service whose contexts may only be idle for a moment."""
    folder: Path = tmp_path_factory.mktemp("forgetful")
    with running_service(folder, context_idle_timeout=0.4) as service, service.client() as client:
        yield client


def test_an_idle_context_loses_its_kernel_but_not_its_id(forgetful: httpx.Client) -> None:
    first = run(forgetful, "kept = 1\nimport os\nprint(os.getpid())")
    context_id, pid = first[0]["text"], int(text_of(first))
    eventually(lambda: is_gone(pid))
    eventually(lambda: forgetful.get(f"/code/contexts/{context_id}").json()["state"] == "dormant")
    events = run(forgetful, "print('kept' in globals())", id=context_id)
    assert kinds(events) == ["init", "context_restarted", "stdout", "execution_complete"]
    assert text_of(events) == "False\n"
    assert "idle" in of_type(events, "context_restarted")[0]["why"]
    assert of_type(events, "context_restarted")[0]["generation"] == 2


def test_a_busy_context_and_one_with_runs_waiting_keep_their_kernels(forgetful: httpx.Client) -> None:
    with (
        running(forgetful, "import time\ntime.sleep(1.5)\nkept = 1") as first,
        running(forgetful, "import time\ntime.sleep(1)\nkept += 1") as second,
        running(forgetful, "print(kept)") as third,
    ):
        assert [end_of(stream.rest()) for stream in (first, second, third)] == [SUCCEEDED] * 3
    assert of_type(second.seen, "context_restarted") + of_type(third.seen, "context_restarted") == []
    assert text_of(third.seen) == "2\n"


def test_an_idle_context_can_be_interrupted_and_deleted(forgetful: httpx.Client) -> None:
    context_id = forgetful.post("/code/context", json={"language": "python"}).json()["id"]
    eventually(lambda: forgetful.get(f"/code/contexts/{context_id}").json()["state"] == "dormant")
    assert forgetful.delete("/code", params={"id": context_id}).status_code == 200
    assert forgetful.delete(f"/code/contexts/{context_id}").status_code == 200
