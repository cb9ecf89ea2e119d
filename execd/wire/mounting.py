"""Operations at other paths than those that they were written for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from starlette.routing import BaseRoute, Mount

from execd.service.caller import Scope
from execd.wire.operation import Operation, Passage

_EXECD_PORT = 44772


def below(prefix: str, operations: Iterable[Operation], suffix: str = "") -> tuple[Operation, ...]:
    """The same operations below a prefix; `suffix` makes their ids different where they are there already."""
    return tuple(
        replace(operation, path=prefix + operation.path, operation_id=operation.name + suffix)
        for operation in operations
    )


def managing(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """The same operations, which are for keys that may manage sandboxes, but for those that only read."""
    return tuple(
        operation if operation.method == "GET" else replace(operation, scope=Scope.MANAGE) for operation in operations
    )


def execd_mounts(bases: Iterable[str], operations: Iterable[Operation], passages: Iterable[Passage]) -> list[BaseRoute]:
    """The whole execd API for the sandbox that the path names: what a client of that API finds at its port."""
    routes: list[BaseRoute] = [replace(operation, enters=True).route() for operation in operations]
    routes += [route for passage in passages for route in passage.routes()]
    return [Mount(f"{base}/{{sandbox_id}}/proxy/{_EXECD_PORT}", routes=routes) for base in bases]
