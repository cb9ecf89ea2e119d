"""What a sandbox may reach, as OpenSandbox's clients ask for it: at /policy of the sandbox's port 18080, where that
API has a program of its own.

What the operator does not let sandboxes reach stays out of reach whatever is set here; `reason` says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, RootModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import InvalidRequest, NotOffered, SandboxExpired, SandboxNotFound
from execd.service.narrowing import Narrowing
from execd.wire.body import read_model
from execd.wire.execd.schemas import Text
from execd.wire.opensandbox.errors import OPENSANDBOX_ERRORS
from execd.wire.opensandbox.schemas import NetworkPolicyBody, NetworkRuleBody, PolicyBody
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_id_of, sandboxes_of

EGRESS_PORT = 18080

_BOUNDED = "hosts that EXECD_EGRESS_ALLOW does not have are not reached either"


class Rules(RootModel[Annotated[list[NetworkRuleBody], Field(max_length=1000)]]):
    """PATCH /policy: rules that come before those that there are, and instead of those with the same target."""


class Targets(RootModel[list[Text]]):
    """DELETE /policy: the targets of rules that are to go."""


async def egress_policy(request: Request) -> Response:
    """What holds."""
    return _json(_policy(request))


async def egress_add(request: Request) -> Response:
    """Add rules."""
    body = await read_model(request, Rules, sandboxes_of(request).settings.max_body)
    targets = {rule.target for rule in body.root}
    return _set(request, [*body.root, *(rule for rule in _policy(request).policy.egress if rule.target not in targets)])


async def egress_remove(request: Request) -> Response:
    """Remove rules."""
    body = await read_model(request, Targets, sandboxes_of(request).settings.max_body)
    return _set(request, [rule for rule in _policy(request).policy.egress if rule.target not in body.root])


def _set(request: Request, rules: list[NetworkRuleBody]) -> Response:
    sandboxes, sandbox_id = sandboxes_of(request), sandbox_id_of(request)
    policy = NetworkPolicyBody(defaultAction=_policy(request).policy.defaultAction, egress=rules)
    wanted = Narrowing.parse(policy.model_dump(), "policy")
    sandboxes.set_network(sandbox_id, replace(sandboxes.get(sandbox_id).network, rules=wanted))
    return _json(_policy(request))


def _policy(request: Request) -> PolicyBody:
    sandboxes = sandboxes_of(request)
    record = sandboxes.get(sandbox_id_of(request))
    return policy_of(record.reach, record.network.rules, sandboxes.settings.egress_allow)


def policy_of(kind: str, own: Narrowing | None, operators: list[str]) -> PolicyBody:
    """What holds for a sandbox that has this network and these rules of its own. Pure."""
    if kind == "none" or (own is not None and own.closed):
        return _body("deny_all", kind, NetworkPolicyBody(defaultAction="deny"))
    if kind == "full":
        return _body("allow_all", kind, NetworkPolicyBody(defaultAction="allow"))
    if own is None:
        rules = [NetworkRuleBody(action="allow", target=target) for target in operators]
        return _body("custom", kind, NetworkPolicyBody(defaultAction="deny", egress=rules))
    rules = [NetworkRuleBody(action="allow" if allows else "deny", target=str(rule)) for allows, rule in own.rules]
    policy = NetworkPolicyBody(defaultAction="allow" if own.allows_rest else "deny", egress=rules)
    return _body("custom", kind, policy, _BOUNDED)


def _body(mode: str, kind: str, policy: NetworkPolicyBody, reason: str | None = None) -> PolicyBody:
    return PolicyBody(status="ok", mode=mode, enforcementMode=kind, policy=policy, reason=reason)


def _json(body: PolicyBody) -> Response:
    told: dict[str, Any] = body.model_dump(exclude_none=True)
    return JSONResponse(told)


def _operation(method: str, endpoint: Any, summary: str, body: Any = None) -> Operation:
    return Operation(
        method,
        f"/{{sandbox_id}}/proxy/{EGRESS_PORT}/policy",
        endpoint,
        summary,
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("What holds", model=PolicyBody),
        body=body,
        errors=(SandboxNotFound, SandboxExpired, *((InvalidRequest, NotOffered) if body else ())),
    )


OPERATIONS = (
    _operation("GET", egress_policy, "What a sandbox may reach"),
    _operation("PATCH", egress_add, "Change what a sandbox may reach", Rules),
    _operation("DELETE", egress_remove, "Take back rules about what a sandbox may reach", Targets),
)
