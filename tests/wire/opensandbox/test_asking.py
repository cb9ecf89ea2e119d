"""What OpenSandbox's words mean here."""

from __future__ import annotations

from typing import Any

import pytest

from execd.errors import InvalidRequest, NotOffered
from execd.isolation.plan import Limits
from execd.service.record import SandboxStatus
from execd.settings import Settings
from execd.wire.opensandbox.asking import asked, quantity, wanted_of_list
from execd.wire.opensandbox.schemas import NewSandbox


@pytest.mark.parametrize(
    ("given", "meant"), [("2", 2), ("0.5", 0.5), ("500m", 0.5), ("512Mi", 2**29), ("2Gi", 2**31), ("1k", 1000)]
)
def test_quantities(given: str, meant: float) -> None:
    assert quantity(given, "cpu") == meant


@pytest.mark.parametrize("given", ["", "-1", "1 Gi", "1gi", "Gi", "1e3"])
def test_what_is_no_quantity(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^cpu: expected a quantity"):
        quantity(given, "cpu")


@pytest.mark.parametrize(
    ("states", "metadata", "statuses", "pairs"),
    [
        ([], "", set(), {}),
        (["Running", "paused"], "", {SandboxStatus.RUNNING, SandboxStatus.PAUSED}, {}),
        (["Pausing"], "", {SandboxStatus.ENDED}, {}),
        ([], "a=1&b=x%20%26y", set(), {"a": "1", "b": "x &y"}),
    ],
)
def test_filters(states: list[str], metadata: str, statuses: set[SandboxStatus], pairs: dict[str, str]) -> None:
    found = wanted_of_list(states, metadata)
    assert (set(found.statuses), dict(found.metadata)) == (statuses, pairs)


def test_a_state_that_there_is_not() -> None:
    with pytest.raises(InvalidRequest, match=r"^state: "):
        wanted_of_list(["tired"], "")


def body(**given: Any) -> NewSandbox:
    """A body that asks for a sandbox."""
    return NewSandbox.model_validate({"image": {"uri": "python"}, **given})


def test_what_a_sandbox_gets() -> None:
    given = body(timeout=60, resourceLimits={"cpu": "1500m", "memory": "1Gi"}, env={"A": "1"}, entrypoint=["x"])
    found = asked(given, Settings())
    assert (found.image, found.profile, found.timeout) == ("python", "default", 60)
    assert (found.limits, found.envs) == (Limits(memory=2**30, cpu=1.5), {"A": "1"})
    assert found.dialect == {"entrypoint": ["x"]}


def test_without_a_timeout_it_lives_for_ever() -> None:
    assert asked(body(timeout=None), Settings()).timeout == 0


@pytest.mark.parametrize("given", [{"secureAccess": True}, {"snapshotId": "s"}, {"lifecycle": {"preStart": {}}}])
def test_what_is_not_offered(given: dict[str, Any]) -> None:
    with pytest.raises(NotOffered):
        asked(body(**given), Settings())


def test_secure_access_takes_a_token() -> None:
    assert asked(body(secureAccess=True), Settings(access_token="x")).image == "python"
