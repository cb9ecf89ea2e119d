"""An operation: one method on one path, with all that its route, its errors and its OpenAPI entry need to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ASGIScope
from starlette.websockets import WebSocket

from execd.errors import ExecdError, ScopeMissing
from execd.service.caller import Scope, caller
from execd.wire.errors import ErrorTable
from execd.wire.fallbacks import defect
from execd.wire.state import enter

WebSocketEndpoint = Callable[[WebSocket], Awaitable[None]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query or header parameter, for the document; the endpoint reads it itself."""

    name: str
    description: str
    required: bool = False
    type: str = "string"
    place: str = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a success looks like. `model` is the JSON body's, None for an empty or a streamed one."""

    description: str
    status: int = 200
    model: type[BaseModel] | None = None
    many: bool = False
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. `errors` are those that callers should expect; `dialect` renders them all. What works in
    a sandbox `enters` it first, and finds it by `execd.wire.state.sandbox_of`."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    tag: str
    dialect: ErrorTable
    answer: Answer
    body: type[BaseModel] | None = None
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[type[ExecdError], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    operation_id: str = ""
    body_type: str = "application/json"
    enters: bool = False
    scope: Scope | None = None

    @property
    def needs(self) -> Scope:
        """What a key has to be for: reading for what only reads, running code for the rest, but where it is said."""
        return self.scope or (Scope.READ if self.method == "GET" else Scope.RUN)

    @property
    def name(self) -> str:
        """The operation's id in the OpenAPI document: the endpoint's name, but where one serves several operations."""
        return self.operation_id or getattr(self.endpoint, "__name__", self.path)

    def route(self) -> Route:
        """The Starlette route that serves it."""
        return Route(self.path, self.handle, methods=[self.method], name=self.name)

    async def handle(self, request: Request) -> Response:
        """Serve a request; what execd refuses comes out in the dialect's form."""
        try:
            check_scope(self.needs)
            if self.enters:
                await enter(request)
            return await self.endpoint(request)
        except ExecdError as error:
            return self.dialect.response(error)
        except ClientDisconnect:
            # Nobody is there to answer.
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # a defect of ours, answered here so that it has the request's id
            return await defect(request, error)


def check_scope(needed: Scope) -> None:
    """Raise ScopeMissing if who asks has a key that is not for this."""
    who = caller()
    if who is not None and needed not in who.scopes:
        raise ScopeMissing(needed)


@dataclass(frozen=True, slots=True)
class Scoped:
    """An ASGI application that is for keys which may run code."""

    app: ASGIApp
    dialect: ErrorTable

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        try:
            check_scope(Scope.RUN)
        except ScopeMissing as error:
            await self.dialect.response(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Passage:
    """A path that is more than one method with one answer: a WebSocket, or requests of any method handed on.

    OpenAPI has no words for these, so the document shows the path, what it is for and its parameters, and no method.
    `errors` are those that refuse a WebSocket; `dialect` renders them all.
    """

    path: str
    summary: str
    description: str
    dialect: ErrorTable
    websocket: WebSocketEndpoint
    http: ASGIApp | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[type[ExecdError], ...] = ()
    enters: bool = False

    @property
    def name(self) -> str:
        """The WebSocket endpoint's name."""
        return getattr(self.websocket, "__name__", self.path)

    def routes(self) -> list[BaseRoute]:
        """The Starlette routes that serve it."""
        routes: list[BaseRoute] = [WebSocketRoute(self.path, self.handle, name=self.name)]
        if self.http is not None:
            routes.append(Route(self.path, Scoped(self.http, self.dialect), name=f"{self.name}_http"))
        return routes

    async def handle(self, websocket: WebSocket) -> None:
        """Serve a WebSocket; what execd refuses before accepting it is an HTTP answer in the dialect's form."""
        try:
            check_scope(Scope.RUN)
            if not self.enters:
                await self.websocket(websocket)
                return
            with (await enter(websocket)).visited():
                await self.websocket(websocket)
        except ExecdError as error:
            await websocket.send_denial_response(self.dialect.response(error))
