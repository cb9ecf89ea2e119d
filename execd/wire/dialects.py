"""Which API a request speaks, told by its path: for the answers that no operation gives. Unknown routes, wrong methods,
missing tokens and defects come out in the form that clients of that API can read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from execd.errors import ExecdError, LimitReached, NotFound, ScopeMissing, ShuttingDown
from execd.wire.errors import Body, ErrorTable, Rendering, code_and_message

TOKEN_HEADER = "X-EXECD-ACCESS-TOKEN"
TOKEN_MISSING = f"Unauthorized: invalid or missing header {TOKEN_HEADER}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """An API at the paths that `paths` matches from their beginning on. `codes` are its codes for 403, 404, 405,
    429, 500 and 503; `unauthorized` is the body of its 401, told whether a token was given at all."""

    paths: re.Pattern[str]
    body: Body
    codes: Mapping[int, str]
    unauthorized: Callable[[bool], Mapping[str, object]]

    def answer(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        """An error's answer."""
        return JSONResponse(self.body(Rendering(status, self.codes[status]), message), status, headers)


_NEAREST = {403: ScopeMissing, 404: NotFound, 429: LimitReached, 500: ExecdError, 503: ShuttingDown}


def codes_of(errors: ErrorTable, wrong_method: str) -> Mapping[int, str]:
    """A dialect's codes: those that it has for the errors of an operation which come nearest, and its code for 405."""
    return {405: wrong_method, **{status: errors.rendering(error).code for status, error in _NEAREST.items()}}


def unauthorized(
    body: Body, code: str, missing: str, wrong: str = "the API key is not this service's access token"
) -> Callable[[bool], Mapping[str, object]]:
    """The body of a dialect's 401: what it says where no token was given, and where that was a wrong one."""
    return lambda given: body(Rendering(401, code), wrong if given else missing)


EXECD = Dialect(
    re.compile(""),
    code_and_message,
    {
        403: "FORBIDDEN",
        404: "NOT_FOUND",
        405: "METHOD_NOT_ALLOWED",
        429: "LIMIT_REACHED",
        500: "UNKNOWN",
        503: "SERVICE_UNAVAILABLE",
    },
    lambda _given: {"error": TOKEN_MISSING},
)


def dialect_of(scope: Mapping[str, Any]) -> Dialect:
    """The dialect of a request, among those in its application's `state.dialects`; the last resort is execd's."""
    known: tuple[Dialect, ...] = getattr(getattr(scope.get("app"), "state", None), "dialects", ())
    return next((dialect for dialect in known if dialect.paths.match(scope["path"])), EXECD)
