"""Looks at the service: metrics, lists, records."""

from __future__ import annotations

from soak.answers import holds, same
from soak.caller import Caller


def metrics(caller: Caller) -> None:
    """What it counts about itself: no event was dropped."""
    machine = caller.http.get("/metrics").raise_for_status().json()
    holds(0 < machine["mem_used_mib"] <= machine["mem_total_mib"], "/metrics makes no sense", machine)
    text = caller.http.get("/metrics/prometheus").raise_for_status().text
    dropped = [line.split()[1] for line in text.splitlines() if line.startswith("execd_events_dropped_total ")]
    same([float(value) for value in dropped], [0.0], "execd_events_dropped_total")


def records(caller: Caller) -> None:
    """The newest executions, of which each is told alike by itself."""
    asked: dict[str, str] = {"limit": "20", "context_id": caller.context, "status": "succeeded"}
    listed = caller.http.get("/code/executions", params=asked).raise_for_status().json()
    if listed:
        chosen = caller.chance.choice(listed[:5])
        found = caller.http.get(f"/code/executions/{chosen['id']}").raise_for_status().json()
        same((found["id"], found["status"]), (chosen["id"], "succeeded"), "a record")
    same(caller.http.get(f"/code/contexts/{caller.context}").status_code, 200, "its own context")
