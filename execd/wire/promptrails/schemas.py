"""The bodies of PromptRails' API, in."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from execd.wire.execd.schemas import Body, CommandText, PathText, Text

_MIB = 1024 * 1024
_LONGEST_SECONDS = 10**9


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise ValueError("expected JSON without NaN, infinities and lone surrogates") from None
    return given


JsonObject = Annotated[dict[str, Any], AfterValidator(_plain)]
Name = Annotated[CommandText, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(gt=0, le=_LONGEST_SECONDS)]


class NewAgent(Body):
    """POST /agents."""

    name: Name
    type: CommandText = Field("agent", description="Kept and shown: agent, or workflow.")
    description: Text = ""
    labels: list[Text] = Field([])
    metadata: JsonObject = Field({})


class AgentPatch(Body):
    """PATCH /agents/{agent_id}: what is given is changed."""

    name: Name | None = None
    description: Text | None = None
    status: Text | None = None
    labels: list[Text] | None = None
    metadata: JsonObject | None = None


class VersionConfig(Body):
    """How a version is run. What else there is in it is ignored."""

    language: Text = "python"
    code: Text = Field("", description="The code that is run.")
    template: bool = Field(False, description="Each {{ name }} in the code stands for what the input has there.")
    entry: PathText = Field("", description="Instead of code: a file in the sandbox, from its workspace on.")
    sandbox_id: CommandText = Field("", description="The sandbox to run in. None: each run gets one of its own.")
    timeout: Seconds | None = Field(None, description="Time limit of a run, in seconds, without what it waits for.")
    memory_mb: int | None = Field(None, ge=16, le=_MIB, description="Memory of the run's own sandbox.")
    cpus: float | None = Field(None, gt=0, le=1024, description="CPU cores of the run's own sandbox.")
    approval_required: bool = Field(False, description="A run waits until somebody has approved before it starts.")
    checkpoint_name: Name = Field("start", description="What that approval is called.")
    approval_timeout: float | None = Field(None, ge=0, le=_LONGEST_SECONDS, description="Seconds; 0: for ever.")
    metadata: JsonObject = Field({}, description="Metadata of every run.")


class ApprovalPolicy(Body):
    """Who may decide."""

    mode: Text = "any_member"


class NewVersion(Body):
    """POST /agents/{agent_id}/versions."""

    version: Name
    config: VersionConfig
    input_schema: JsonObject = Field({}, description="JSON Schema of the input.")
    output_schema: JsonObject | None = Field(None, description="Kept and shown; outputs are not checked.")
    message: Text = ""
    set_current: bool = False
    approval_policy: ApprovalPolicy = Field(ApprovalPolicy(), description="Anybody with a key may decide: any_member.")


class ExecuteAgent(Body):
    """POST /agents/{agent_id}/execute."""

    input: JsonObject
    version_id: CommandText | None = Field(None, description="None: the current version.")
    session_id: CommandText = ""
    user_id: CommandText = ""
    metadata: JsonObject = Field({})
    parent_execution_id: CommandText | None = None
    webhook_url: Text | None = Field(None, description="Where what becomes of it is to be told, as a webhook.")
    sync: bool = Field(True, description="Whether to wait for the end.")
    async_mode: bool = Field(False, description="The same, the other way round.")


class Verdict(Body):
    """POST /executions/{execution_id}/approve and /deny."""

    reason: CommandText = ""
    decided_by: CommandText = Field("", description="Who decides, as it shall be kept.")


class Decide(Verdict):
    """POST /approvals/{approval_id}/decide."""

    decision: Text = Field(description="approved or rejected")
