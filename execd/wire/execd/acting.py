"""Who a request about files acts as: the service itself, or the user that its path names.

`/v1/filesystem/{uid}/{gid}/…` serves the same operations as the paths without that prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import PurePath
from typing import Protocol, TypeVar

from starlette.requests import Request

from execd.errors import IdentityRefused, InvalidRequest, MissingQuery
from execd.isolation.identity import NO_ID, Identity
from execd.isolation.root import Root
from execd.wire.download import Threads
from execd.wire.operation import Operation
from execd.wire.state import sandbox_of

_PREFIX = "/v1/filesystem/{uid}/{gid}"

Result = TypeVar("Result")


class Hand(Protocol):
    """What works on the files of a sandbox for a request, as whoever the request acts as."""

    @property
    def files(self) -> Threads:
        """Where it works as the service itself."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work on files."""


class Acting:
    """A request's hand on the files of its sandbox. Raises InvalidRequest when its path names no possible
    user, UserNotInside when the sandbox has no such user."""

    def __init__(self, request: Request) -> None:
        self.files = sandbox_of(request).files
        self.root = self.files.root
        self.identity = _identity(request, self.root)
        self._home = None if self.identity is None else self.identity.home
        self._query = request.query_params

    def path(self, given: str, field: str = "path") -> PurePath:
        """The absolute path that is meant. Raises InvalidRequest."""
        return self.files.paths.resolve(given, self._home, field)

    def queried_path(self) -> PurePath:
        """The one that the query names. Raises MissingQuery, InvalidRequest."""
        given = self._query.get("path", "")
        if not given:
            raise MissingQuery("path", "a path")
        return self.path(given)

    def queried_paths(self) -> list[tuple[str, PurePath]]:
        """All that the query names, each as it is written and as it is meant."""
        return [(given, self.path(given)) for given in self._query.getlist("path")]

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work on files, as the one whom the request acts as. Raises IdentityRefused."""
        return await self.files.run(work, self.identity)


def as_user(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """The same operations, done as the user that their path names."""
    return tuple(
        replace(
            operation,
            path=_PREFIX + operation.path,
            operation_id=f"{operation.name}_as_user",
            summary=f"{operation.summary}, as a user",
            errors=(*operation.errors, IdentityRefused),
        )
        for operation in operations
    )


def _identity(request: Request, root: Root) -> Identity | None:
    given = request.path_params
    if "uid" not in given:
        return None
    return Identity.inside(root.accounts, _number("uid", given["uid"]), _number("gid", given["gid"]))


def _number(name: str, given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and int(given) < NO_ID):
        raise InvalidRequest(f"expected a number from 0 to {NO_ID - 1}, got {given[:40]!r}", name)
    return int(given)
