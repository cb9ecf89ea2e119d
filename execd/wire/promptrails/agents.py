"""Agents and their versions: made, shown, listed, changed, deleted."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import AgentNotFound, InvalidRequest, NotOffered, UnknownLanguage, VersionNotFound
from execd.service.caller import tenant
from execd.wire.body import read_model
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.promptrails.answers import (
    AgentEnvelope,
    AgentPage,
    AgentVersionEnvelope,
    AgentVersionList,
)
from execd.wire.promptrails.asking import PAGE_PARAMETERS, filter_of, page_wanted, path_id, version_of
from execd.wire.promptrails.errors import PROMPTRAILS_ERRORS
from execd.wire.promptrails.rendering import agent_body, version_body
from execd.wire.promptrails.schemas import AgentPatch, NewAgent, NewVersion
from execd.wire.state import agency_of, sandboxes_of

_TAG = "promptrails"


async def promptrails_create_agent(request: Request) -> Response:
    """Make an agent, which has no version yet."""
    body = await read_model(request, NewAgent, sandboxes_of(request).settings.max_body)
    record = body.model_dump(include={"description", "labels", "metadata"})
    made = await agency_of(request).agents.create(tenant(), body.name, body.type, record)
    return answer(AgentEnvelope(data=agent_body(made)), 201)


async def promptrails_get_agent(request: Request) -> Response:
    """One agent."""
    found = await agency_of(request).agents.get(tenant(), path_id(request, "agent_id"))
    return answer(AgentEnvelope(data=agent_body(found)))


async def promptrails_list_agents(request: Request) -> Response:
    """Agents, the newest first."""
    query = request.query_params
    wanted = page_wanted(query)
    filters = {"kind": filter_of(query, "type"), "name": filter_of(query, "name")}
    like = {name: value for name, value in filters.items() if value is not None}
    found, total = await agency_of(request).agents.page(tenant(), like, wanted.offset, wanted.limit)
    return answer(AgentPage(data=[agent_body(agent) for agent in found], meta=wanted.meta(total)))


async def promptrails_update_agent(request: Request) -> Response:
    """Change an agent."""
    body = await read_model(request, AgentPatch, sandboxes_of(request).settings.max_body)
    changes = body.model_dump(exclude_none=True)
    changed = await agency_of(request).agents.update(tenant(), path_id(request, "agent_id"), changes)
    return answer(AgentEnvelope(data=agent_body(changed)))


async def promptrails_delete_agent(request: Request) -> Response:
    """Delete an agent with its versions."""
    await agency_of(request).agents.delete(tenant(), path_id(request, "agent_id"))
    return Response(status_code=204)


async def promptrails_create_version(request: Request) -> Response:
    """Make a version of an agent."""
    body = await read_model(request, NewVersion, sandboxes_of(request).settings.max_body)
    agents, owner, agent_id = agency_of(request).agents, tenant(), path_id(request, "agent_id")
    made = await agents.add_version(owner, version_of(body, agent_id), current=body.set_current)
    agent = await agents.get(owner, agent_id)
    current = None if agent.current is None else agent.current.id
    return answer(AgentVersionEnvelope(data=version_body(made, current)), 201)


async def promptrails_list_versions(request: Request) -> Response:
    """All versions, the newest first."""
    agents, owner, agent_id = agency_of(request).agents, tenant(), path_id(request, "agent_id")
    agent = await agents.get(owner, agent_id)
    current = None if agent.current is None else agent.current.id
    found = await agents.versions(owner, agent_id)
    return answer(AgentVersionList(data=[version_body(version, current) for version in found]))


async def promptrails_promote_version(request: Request) -> Response:
    """Let a version be the current one."""
    agent_id, version_id = path_id(request, "agent_id"), path_id(request, "version_id")
    agent = await agency_of(request).agents.promote(tenant(), agent_id, version_id)
    return answer(AgentEnvelope(data=agent_body(agent)))


def answer(body: BaseModel, status: int = 200) -> Response:
    """An answer with this body."""
    return JSONResponse(body.model_dump(), status)


_ONE = "/api/v1/agents/{agent_id}"

OPERATIONS = (
    Operation(
        "POST",
        "/api/v1/agents",
        promptrails_create_agent,
        "Make an agent",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("The agent", status=201, model=AgentEnvelope),
        body=NewAgent,
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/api/v1/agents",
        promptrails_list_agents,
        "List agents, newest first",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("A page of them", model=AgentPage),
        parameters=(
            *PAGE_PARAMETERS,
            Parameter("type", "Only those of this type."),
            Parameter("name", "Only those of this name."),
        ),
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        _ONE,
        promptrails_get_agent,
        "Show an agent with its current version",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("The agent", model=AgentEnvelope),
        errors=(AgentNotFound,),
    ),
    Operation(
        "PATCH",
        _ONE,
        promptrails_update_agent,
        "Change an agent",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("The agent", model=AgentEnvelope),
        body=AgentPatch,
        errors=(InvalidRequest, AgentNotFound),
    ),
    Operation(
        "DELETE",
        _ONE,
        promptrails_delete_agent,
        "Delete an agent with its versions; its runs stay",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("It is gone", status=204),
        errors=(AgentNotFound,),
    ),
    Operation(
        "POST",
        f"{_ONE}/versions",
        promptrails_create_version,
        "Make a version of an agent",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("The version", status=201, model=AgentVersionEnvelope),
        body=NewVersion,
        errors=(InvalidRequest, UnknownLanguage, AgentNotFound, NotOffered),
    ),
    Operation(
        "GET",
        f"{_ONE}/versions",
        promptrails_list_versions,
        "List an agent's versions, newest first",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("All of them", model=AgentVersionList),
        errors=(AgentNotFound,),
    ),
    Operation(
        "PUT",
        f"{_ONE}/versions/{{version_id}}/promote",
        promptrails_promote_version,
        "Make a version the current one",
        _TAG,
        PROMPTRAILS_ERRORS,
        Answer("The agent", model=AgentEnvelope),
        errors=(AgentNotFound, VersionNotFound),
    ),
)
