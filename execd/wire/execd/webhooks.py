"""/v1/webhooks: where a tenant is told what becomes of its executions, and what of that was delivered."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import InvalidRequest, StorageFull, TooManyWebhooks, WebhookNotFound
from execd.service.caller import Scope, tenant
from execd.service.webhooks import WebhookRequest
from execd.store.deliveries import DELIVERED, FAILED, PENDING, DeliveryRow, WantedDeliveries
from execd.store.webhooks import WebhookRow
from execd.wire.body import read_model
from execd.wire.cursor import decode_cursor, next_cursor
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.webhook_schemas import (
    CreatedWebhook,
    DeliveryInfo,
    DeliveryPage,
    NewWebhook,
    SigningSecret,
    WebhookInfo,
    WebhookList,
    WebhookTest,
)
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import page_limit
from execd.wire.state import sandboxes_of, webhooks_of

DEFAULT_LIMIT = 50
MOST_LIMIT = 1000

_STATES = (PENDING, DELIVERED, FAILED)


async def create_webhook(request: Request) -> Response:
    """Make one. Its secret is told now only."""
    body = await read_model(request, NewWebhook, sandboxes_of(request).settings.max_body)
    wanted = WebhookRequest(body.url, tuple(body.events), body.description)
    row, secret = await webhooks_of(request).create(tenant(), wanted)
    return JSONResponse(CreatedWebhook(**_shown(row).model_dump(), secret=secret).model_dump(), 201)


async def list_webhooks(request: Request) -> Response:
    """All that the tenant has."""
    found = await webhooks_of(request).all(tenant())
    return JSONResponse(WebhookList(items=[_shown(row) for row in found]).model_dump())


async def get_webhook(request: Request) -> Response:
    """One of them."""
    return JSONResponse(_shown(await webhooks_of(request).get(tenant(), _id(request))).model_dump())


async def delete_webhook(request: Request) -> Response:
    """Remove one, with what is still to be sent to it."""
    await webhooks_of(request).remove(tenant(), _id(request))
    return Response(status_code=204)


async def rotate_webhook_secret(request: Request) -> Response:
    """Another secret; the old one is signed with as well for a day."""
    return _secret(await webhooks_of(request).rotate(tenant(), _id(request)))


async def test_webhook(request: Request) -> Response:
    """Send it something now."""
    came = await webhooks_of(request).test(tenant(), _id(request))
    return JSONResponse(WebhookTest(delivered=came.delivered, status=came.status, error=came.error).model_dump())


async def get_signing_secret(request: Request) -> Response:
    """What is signed with where an execution has named the URL."""
    return _secret(await webhooks_of(request).signing_secret(tenant()))


async def rotate_signing_secret(request: Request) -> Response:
    """Another one; the old one is signed with as well for a day."""
    return _secret(await webhooks_of(request).rotate_signing_secret(tenant()))


async def list_deliveries(request: Request) -> Response:
    """What was sent to any URL or is to be, the newest first."""
    return await _page(request, None)


async def list_webhook_deliveries(request: Request) -> Response:
    """The same of one webhook."""
    webhook = await webhooks_of(request).get(tenant(), _id(request))
    return await _page(request, webhook.id)


async def _page(request: Request, webhook_id: str | None) -> Response:
    query = request.query_params
    state = query.get("state") or None
    if state is not None and state not in _STATES:
        raise InvalidRequest(f"expected one of {', '.join(_STATES)}, got {state[:40]!r}", "state")
    wanted = WantedDeliveries(tenant(), webhook_id, query.get("execution_id") or None, state)
    limit = page_limit(query.get("limit", ""), DEFAULT_LIMIT, MOST_LIMIT)
    found, before = await webhooks_of(request).delivered(wanted, limit, decode_cursor(query.get("cursor", "")))
    page = DeliveryPage(items=[_delivery(row) for row in found], next_cursor=next_cursor(before))
    return JSONResponse(page.model_dump())


def _id(request: Request) -> str:
    return str(request.path_params["webhook_id"])


def _secret(secret: str) -> Response:
    return JSONResponse(SigningSecret(secret=secret).model_dump(), headers={"Cache-Control": "no-store"})


def _shown(row: WebhookRow) -> WebhookInfo:
    return WebhookInfo(
        id=row.id,
        url=row.url,
        events=list(row.events),
        description=row.description,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
    )


def _delivery(row: DeliveryRow) -> DeliveryInfo:
    return DeliveryInfo(
        id=row.id,
        webhook_id=row.webhook_id,
        execution_id=row.execution_id,
        url=row.url,
        type=row.type,
        state=row.state,
        attempts=row.attempts,
        created_at=row.created_at,
        next_attempt_at=row.due_at,
        last_status=row.last_status,
        last_error=row.last_error,
        ended_at=row.ended_at,
    )


_ALL = "/v1/webhooks"
_ONE = f"{_ALL}/{{webhook_id}}"
_TAG = "webhooks"
_MISSING = (WebhookNotFound, StorageFull)
_FILTERS = (
    Parameter("execution_id", "Only those about this execution."),
    Parameter("state", f"Only those in this state: {', '.join(_STATES)}."),
    Parameter("limit", f"How many, 1 to {MOST_LIMIT}; {DEFAULT_LIMIT} if none is given.", type="integer"),
    Parameter("cursor", "Where the page before has ended: its `next_cursor`."),
)

OPERATIONS = (
    Operation(
        "POST",
        _ALL,
        create_webhook,
        "Make a webhook: be told what becomes of executions",
        _TAG,
        EXECD_ERRORS,
        Answer("The webhook, with its secret", status=201, model=CreatedWebhook),
        body=NewWebhook,
        errors=(InvalidRequest, TooManyWebhooks, StorageFull),
        scope=Scope.MANAGE,
    ),
    Operation(
        "GET",
        _ALL,
        list_webhooks,
        "List webhooks",
        _TAG,
        EXECD_ERRORS,
        Answer("All of them", model=WebhookList),
        errors=(StorageFull,),
        scope=Scope.MANAGE,
    ),
    Operation(
        "GET",
        f"{_ALL}/secret",
        get_signing_secret,
        "Show the secret for URLs that executions name",
        _TAG,
        EXECD_ERRORS,
        Answer("It", model=SigningSecret),
        errors=(StorageFull,),
        scope=Scope.MANAGE,
    ),
    Operation(
        "POST",
        f"{_ALL}/secret/rotate",
        rotate_signing_secret,
        "Exchange the secret for URLs that executions name",
        _TAG,
        EXECD_ERRORS,
        Answer("The new one", model=SigningSecret),
        errors=(StorageFull,),
        scope=Scope.MANAGE,
    ),
    Operation(
        "GET",
        f"{_ALL}/deliveries",
        list_deliveries,
        "List what was sent to webhooks or is to be, newest first",
        _TAG,
        EXECD_ERRORS,
        Answer("A page of deliveries", model=DeliveryPage),
        parameters=_FILTERS,
        errors=(InvalidRequest, StorageFull),
        scope=Scope.MANAGE,
    ),
    Operation(
        "GET",
        _ONE,
        get_webhook,
        "Show a webhook",
        _TAG,
        EXECD_ERRORS,
        Answer("It", model=WebhookInfo),
        errors=_MISSING,
        scope=Scope.MANAGE,
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_webhook,
        "Remove a webhook, with what is still to be sent to it",
        _TAG,
        EXECD_ERRORS,
        Answer("It is gone", status=204),
        errors=_MISSING,
        scope=Scope.MANAGE,
    ),
    Operation(
        "POST",
        f"{_ONE}/rotate",
        rotate_webhook_secret,
        "Exchange a webhook's secret",
        _TAG,
        EXECD_ERRORS,
        Answer("The new one", model=SigningSecret),
        errors=_MISSING,
        scope=Scope.MANAGE,
    ),
    Operation(
        "POST",
        f"{_ONE}/test",
        test_webhook,
        "Send a webhook something now",
        _TAG,
        EXECD_ERRORS,
        Answer("What came of it", model=WebhookTest),
        errors=_MISSING,
        scope=Scope.MANAGE,
    ),
    Operation(
        "GET",
        f"{_ONE}/deliveries",
        list_webhook_deliveries,
        "List what was sent to a webhook or is to be, newest first",
        _TAG,
        EXECD_ERRORS,
        Answer("A page of deliveries", model=DeliveryPage),
        parameters=_FILTERS,
        errors=(InvalidRequest, *_MISSING),
        scope=Scope.MANAGE,
    ),
)
