"""An operation: one method on one path, with all that its route, its errors and its OpenAPI entry need to know."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from execd.errors import ExecdError
from execd.wire.errors import ErrorTable
from execd.wire.fallbacks import defect

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
    """One method on one path. `errors` are those that callers should expect; `dialect` renders them all."""

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
            return await self.endpoint(request)
        except ExecdError as error:
            return self.dialect.response(error)
        except ClientDisconnect:
            # Nobody is there to answer.
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  # a defect of ours, answered here so that it has the request's id
            return await defect(request, error)
