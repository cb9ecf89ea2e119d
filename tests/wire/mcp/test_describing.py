"""What the tools say of themselves follows from the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from execd.isolation.plan import Mode
from execd.service.capabilities import Capabilities
from execd.settings import Settings
from execd.wire.mcp.catalog import TOOLS
from execd.wire.mcp.describing import Facts, instructions, size, time

FACTS = Facts(Settings(data_dir=Path("/data")), Capabilities(Mode.BWRAP, freeze=True, volumes=True), ("bash", "python"))


def described(name: str, facts: Facts) -> str:
    """A tool's description."""
    return next(tool for tool in TOOLS if tool.name == name).describe(facts)


def given(**settings: Any) -> Facts:
    """The same with other settings."""
    return replace(FACTS, settings=FACTS.settings.model_copy(update=settings))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (FACTS, "languages: bash, python"),
        (FACTS, "in a sandbox of its own"),
        (FACTS, "Files in /workspace stay"),
        (FACTS, "There is no network."),
        (FACTS, "through restarts of the service"),
        (FACTS, "stopped after 1 day"),
        (FACTS, "waits 50 seconds"),
        (FACTS, "More than 32 KiB"),
        (FACTS, "can be had for 7 days"),
        (given(on_sigterm="end"), "but not when the service ends"),
        (given(context_idle_timeout=90), "idle for 90 seconds"),
        (given(sandbox_memory=2**30), "Memory: 1 GiB."),
        (given(sandbox_cpus=1.5), "CPU cores: 1.5."),
        (given(run_timeout=120), "stopped after 2 minutes"),
        (given(mcp_wait=10), "waits 10 seconds"),
        (replace(FACTS, capabilities=replace(FACTS.capabilities, network="full")), "the public internet"),
        (replace(FACTS, capabilities=replace(FACTS.capabilities, network="proxy")), "to a few hosts"),
        (replace(FACTS, capabilities=replace(FACTS.capabilities, mode=Mode.PROCESS)), "no walls around it"),
        (replace(FACTS, capabilities=replace(FACTS.capabilities, mode=Mode.LANDLOCK)), "Files in /data/workspace"),
    ],
)
def test_run_code_says(facts: Facts, said: str) -> None:
    assert said in described("run_code", facts)


def test_what_is_not_bounded_is_not_said_to_be() -> None:
    assert "Memory" not in described("run_code", FACTS)
    assert "idle" not in described("run_code", FACTS)
    # Without walls the machine's own network is there, whatever sandboxes would have.
    walls = replace(FACTS.capabilities, mode=Mode.PROCESS)
    assert "no network" not in described("run_code", replace(FACTS, capabilities=walls))


def test_programs_say_that_they_keep_nothing() -> None:
    assert "No variables persist, ever" in described("sandbox_execute", FACTS)
    assert "until nobody has used the thread for 7 days" in described("sandbox_execute", FACTS)
    assert "for good" in described("sandbox_execute", given(thread_idle_timeout=0))


def test_every_tool_says_something() -> None:
    for tool in TOOLS:
        assert len(tool.describe(FACTS)) > 40
    assert "What persists" in instructions(FACTS)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (1000, "1000 bytes"), (32768, "32 KiB"), (3 * 2**29, "1.5 GiB")]
)
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 second"),
        (50, "50 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (7200, "2 hours"),
        (0.5, "0.5 seconds"),
    ],
)
def test_times(seconds: float, said: str) -> None:
    assert time(seconds) == said
