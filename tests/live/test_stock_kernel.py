"""A service whose Python kernels are the stock ones: what it offers is the same."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.live.reading import end_of, of_type, run, text_of
from tests.running_service import RunningService, running_service


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service."""
    with running_service(tmp_path_factory.mktemp("stock"), python_kernel="stock") as service:
        yield service


@pytest.fixture
def stock_client(stock: RunningService) -> Iterator[httpx.Client]:
    """Its client."""
    with stock.client() as client:
        yield client


def test_code_runs_in_the_stock_kernel(stock_client: httpx.Client) -> None:
    events = run(stock_client, "import sys\nprint(type(sys.stdout).__module__)\n6 * 7", language="python")
    assert text_of(events) == "ipykernel.iostream\n"
    assert "42" in str(of_type(events, "result"))
    assert end_of(events) == ("succeeded", None)


def test_a_run_may_have_variables_of_its_own(stock_client: httpx.Client) -> None:
    look = "import os; print(os.environ.get('A', 'absent'))"
    assert text_of(run(stock_client, look, envs={"A": "x"}, language="python")) == "x\n"
    assert text_of(run(stock_client, look, language="python")) == "absent\n"


def test_a_run_can_be_interrupted(stock_client: httpx.Client) -> None:
    for code in ("while True: pass", "import asyncio; await asyncio.sleep(600)"):
        events = run(stock_client, code, timeout=1500, language="python")
        assert end_of(events) == ("failed", "timeout")
        assert events[-1]["interruption"]["state"] == "kept"
