"""What Nullspace's words mean here, and which generation speaks them."""

from __future__ import annotations

from typing import Any

import pytest

from execd.errors import InvalidFields, InvalidRequest, NotOffered
from execd.isolation.plan import Limits
from execd.service.record import Network, SandboxRecord, SandboxStatus, TimeoutAction
from execd.settings import Settings
from execd.wire.nullspace.asking import asked, mask, masked, shown, wanted_of_list
from execd.wire.nullspace.generation import MACHINES, SANDBOXES
from execd.wire.nullspace.schemas import NullspaceNewSandbox


def body(**given: Any) -> NullspaceNewSandbox:
    """A body that asks for a sandbox."""
    return NullspaceNewSandbox.model_validate(given)


def test_what_a_sandbox_gets() -> None:
    found = asked(body(vcpus=2, memory_mb=512, disk_mb=1024, timeout_ms=1500, inactivity_timeout_ms=500), Settings())
    assert found.limits == Limits(memory=2**29, cpu=2.0, workspace_size=2**30)
    assert (found.timeout, found.idle_timeout, found.network) == (1.5, 0.5, Network(internet=True))


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({}, TimeoutAction.DELETE),
        ({"timeout_action": "destroy", "lifecycle": {"on_timeout": "pause"}}, TimeoutAction.DELETE),
        ({"timeout_action": "hibernate"}, TimeoutAction.PAUSE),
        ({"lifecycle": {"on_timeout": "pause"}}, TimeoutAction.PAUSE),
    ],
)
def test_what_happens_when_the_time_is_over(given: dict[str, Any], action: TimeoutAction) -> None:
    assert asked(body(**given), Settings()).timeout_action is action


@pytest.mark.parametrize(
    "given", [{"desktop": {}, "snapshot_id": "s"}, {"auto_resume": True}, {"warm_pool": {"mode": "require"}}]
)
def test_what_is_not_offered(given: dict[str, Any]) -> None:
    with pytest.raises(NotOffered):
        asked(body(**given), Settings())


def test_masks() -> None:
    assert mask(None) is None
    assert masked({"id": "x", "cwd": "y"}, mask("id, status")) == {"id": "x"}
    with pytest.raises(InvalidFields, match=r"^fields: .*got 'colour'"):
        mask("id,colour")


@pytest.mark.parametrize("metadata", ["x", "[]", "1", "[" * 100_000])
def test_metadata_that_is_no_object(metadata: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^metadata: "):
        wanted_of_list(None, None, metadata)


@pytest.mark.parametrize(("generation", "sandbox_id"), [(SANDBOXES, "sb_1"), (MACHINES, "mch_1")])
def test_how_a_paused_sandbox_is_shown(generation: Any, sandbox_id: str) -> None:
    record = SandboxRecord(
        id="sb_1",
        wanted=asked(body(), Settings()),
        status=SandboxStatus.PAUSED,
        created_at=0,
        timeout=None,
        timeout_action=TimeoutAction.PAUSE,
        idle_timeout=None,
        metadata={},
        network=Network(),
        expires_at=1500,
    )
    found = shown(record, generation, 1000)
    assert (found["id"], found["snapshot_id"], found["status"]) == (sandbox_id, sandbox_id, "paused")
    assert (found["timeout_at"], found["remaining_ms"]) == ("1970-01-01T00:00:01.500Z", 500)
    assert (found["timeout_action"], found["created_at"]) == ("hibernate", "1970-01-01T00:00:00.000Z")
    assert "timeout_ms" not in found
