"""How errors leave execd: a table a dialect, from each class of the tree to a status and a code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from execd.errors import ExecdError, LimitReached


@dataclass(frozen=True, slots=True)
class Rendering:
    """The HTTP status and the dialect's code of an error."""

    status: int
    code: str


Body = Callable[[Rendering, str], Mapping[str, object]]


def code_and_message(rendering: Rendering, message: str) -> Mapping[str, object]:
    """The body that the execd API gives every error."""
    return {"code": rendering.code, "message": message}


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One dialect's renderings. A class that is not listed is rendered as the nearest one above it that is.
    `model` documents the body where it is not `{"code", "message"}`."""

    renderings: Mapping[type[ExecdError], Rendering]
    body: Body = code_and_message
    model: type[BaseModel] | None = None

    def rendering(self, error: type[ExecdError]) -> Rendering:
        """The rendering of a class of errors. Raises LookupError where the table has none, not even for the root."""
        for ancestor in error.__mro__:
            if ancestor in self.renderings:
                return self.renderings[ancestor]
        raise LookupError(f"no rendering for {error.__name__}")

    def response(self, error: ExecdError) -> Response:
        """The HTTP answer for an error."""
        rendering = self.rendering(type(error))
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, LimitReached) else None
        return JSONResponse(self.body(rendering, str(error)), rendering.status, headers)

    def overridden(self, renderings: Mapping[type[ExecdError], Rendering]) -> ErrorTable:
        """The same table but for these classes: some routes answer in their own way."""
        return ErrorTable({**self.renderings, **renderings}, self.body, self.model)
