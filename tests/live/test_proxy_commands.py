"""Commands of a service that is itself behind another one's proxy."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.live.commanding import assert_long_lines_arrive
from tests.running_service import RunningService, running_service


def test_long_lines_on_both_streams_and_broken_ends_arrive_exactly(service: RunningService, tmp_path: Path) -> None:
    with running_service(tmp_path) as behind, service.client() as client:
        port = httpx.URL(behind.url).port
        client.base_url = httpx.URL(f"{service.url}/proxy/{port}/")
        assert_long_lines_arrive(client)
