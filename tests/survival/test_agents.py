"""Runs of agents that wait, or are under way, when the service ends and another one comes."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import pytest

from tests.live.agents import Agents
from tests.live.waiting import eventually
from tests.survival.lives import Lives

PARKED = "awaiting_approval"
ASK = """
import execd_run
kept = ["before"]
print("asking")
execd_run.checkpoint("pay?", {"sum": 3})
kept.append("after")
if execd_run.input.get("again"):
    execd_run.checkpoint("really?")
if execd_run.input.get("say"):
    execd_run.output({"kept": kept})
else:
    print("done")
"""
WAIT = """
import execd_run, pathlib, time
print("begun", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.02)
execd_run.output({"went": "on"})
"""


def end(lives: Lives, signum: Signals) -> Agents:
    """End the service, and give the agents of the next one."""
    lives.again(signum)
    return Agents(lives.client)


def test_what_waits_before_it_starts(lives: Lives, signum: Signals) -> None:
    agents = Agents(lives.client)
    agent_id = agents.make("print(1)", approval_required=True)
    runs = [agents.run(agent_id) for _ in range(3)]
    agents = end(lives, signum)
    assert {agents.get(run)["status"] for run in runs} == {PARKED}
    agents.ok("POST", f"/executions/{runs[0]['id']}/approve", {})
    assert agents.becomes(runs[0], "completed")["output"] == {"text": "1\n"}
    assert agents.ok("POST", f"/executions/{runs[1]['id']}/deny", {})["status"] == "rejected"
    agents.ok("POST", f"/executions/{runs[2]['id']}/cancel", {})
    assert agents.get(runs[2])["status"] == "cancelled"


@pytest.mark.parametrize(
    ("given", "output"),
    [({"say": True}, {"kept": ["before", "after"]}), ({}, {"text": "asking\ndone\n"})],
)
def test_what_waits_in_the_middle_is_approved(
    lives: Lives, signum: Signals, given: dict[str, Any], output: dict[str, Any]
) -> None:
    agents = Agents(lives.client)
    run = agents.run(agents.make(ASK, timeout=30), given)
    assert run["status"] == PARKED
    agents = end(lives, signum)
    assert agents.get(run)["status"] == PARKED
    agents.ok("POST", f"/executions/{run['id']}/approve", {})
    assert agents.becomes(run, "completed", "failed")["output"] == output
    eventually(lambda: agents.client.get("/v1/sandboxes").json() == [])


def test_what_waits_in_the_middle_is_rejected(lives: Lives, signum: Signals) -> None:
    agents = Agents(lives.client)
    run = agents.run(agents.make(ASK, sandbox_id="default"))
    agents = end(lives, signum)
    agents.ok("POST", f"/executions/{run['id']}/deny", {"reason": "no money"})
    assert agents.becomes(run, "rejected", "failed")["error"] == "Rejected: no money"
    eventually(lambda: agents.client.get("/code/contexts").json() == [])


def test_it_may_be_asked_again_and_again(lives: Lives, signum: Signals) -> None:
    agents = Agents(lives.client)
    run = agents.run(agents.make(ASK), {"again": True, "say": True})
    agents.ok("POST", f"/executions/{run['id']}/approve", {})
    path = f"/executions/{run['id']}"
    eventually(lambda: agents.client.get(f"/api/v1{path}/pending-approval").status_code == 200)
    agents.becomes(run, PARKED)
    for _ in range(2):
        agents = end(lives, signum)
        assert agents.ok("GET", f"{path}/pending-approval")["checkpoint_name"] == "really?"
    agents.ok("POST", f"{path}/approve", {})
    assert agents.becomes(run, "completed", "failed")["output"] == {"kept": ["before", "after"]}


def test_the_time_limit_leaves_out_what_a_run_has_waited(lives: Lives) -> None:
    agents = Agents(lives.client)
    code = "import execd_run\nexecd_run.checkpoint('go?')\nprint('done')"
    run = agents.run(agents.make(code, timeout=0.3))
    agents = end(lives, SIGKILL)
    agents.ok("POST", f"/executions/{run['id']}/approve", {})
    assert agents.becomes(run, "completed", "failed")["output"] == {"text": "done\n"}


def test_what_is_under_way_goes_on(lives: Lives, signum: Signals) -> None:
    agents = Agents(lives.client)
    made = lives.sandbox()
    run = agents.run(agents.make(WAIT, sandbox_id=made.id), sync=False)
    eventually(lambda: "begun" in str(agents.get(run)) or agents.get(run)["status"] == "running")
    agents = end(lives, signum)
    assert agents.get(run)["status"] == "running"
    made.printed("open('go', 'w').close()", language="python")
    assert agents.becomes(run, "completed", "failed")["output"] == {"went": "on"}


def test_what_was_approved_as_the_service_ends_needs_nobody_more(lives: Lives) -> None:
    agents = Agents(lives.client)
    run = agents.run(agents.make(ASK), {"say": True})
    agents.ok("POST", f"/executions/{run['id']}/approve", {})
    agents = end(lives, SIGTERM)
    assert agents.becomes(run, "completed", "failed")["output"] == {"kept": ["before", "after"]}
