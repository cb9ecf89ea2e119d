"""Records come back from JSON as they were."""

from __future__ import annotations

import json

import pytest

from execd.isolation.plan import Bind, Limits
from execd.service.narrowing import Narrowing
from execd.service.record import (
    EndReason,
    Network,
    SandboxRecord,
    SandboxRequest,
    SandboxStatus,
    TimeoutAction,
)
from execd.service.record_codec import record_from_json, record_to_json

TARGETS = ["*.example.com:8080", "10.0.0.0/8", "1.2.3.4", "2001:db8::/32", "*"]
RULES = Narrowing.parse(
    {"defaultAction": "deny", "egress": [{"action": "allow", "target": target} for target in TARGETS]}, "rules"
)
FULL = SandboxRecord(
    "sb_1",
    SandboxRequest(
        envs={"A": "b"},
        metadata={"x": [1, None]},
        limits=Limits(memory=1, cpu=0.5),
        network=Network(internet=True, mode="proxy", rules=RULES),
        volumes=(Bind("/a", "/b", writable=True),),
        dialect={"q": {"z": 1}},
        timeout_action=TimeoutAction.PAUSE,
    ),
    SandboxStatus.PAUSED,
    1,
    None,
    TimeoutAction.PAUSE,
    3.0,
    {"m": 1},
    Network(rules=RULES),
    "proxy",
    5,
    paused_at=7,
    end=EndReason.LOST,
    origin="sb_0",
)
PLAIN = SandboxRecord(
    "sb_2", SandboxRequest(), SandboxStatus.RUNNING, 1, 2.5, TimeoutAction.DELETE, None, {}, Network()
)


@pytest.mark.parametrize("record", [FULL, PLAIN], ids=lambda record: record.id)
def test_they_are_as_they_were(record: SandboxRecord) -> None:
    assert record_from_json(json.loads(json.dumps(record_to_json(record)))) == record


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValueError, match="status"):
        record_from_json({**record_to_json(PLAIN), "status": "dancing"})
