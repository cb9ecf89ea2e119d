"""Which API a request speaks, told by its path: for the answers that no operation gives. Unknown routes, wrong methods,
missing tokens and defects come out in the form that clients of that API can read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from execd.wire.errors import Body, Rendering, code_and_message

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
