"""The two generations of Nullspace's API: the same operations, with another word for what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from starlette.requests import HTTPConnection

from execd.service.caller import is_default
from execd.service.execution import DEFAULT_SANDBOX
from execd.wire.errors import ErrorTable
from execd.wire.nullspace.errors import MACHINE_ERRORS, SANDBOX_ERRORS
from execd.wire.operation import Operation, Passage
from execd.wire.state import MACHINE_PREFIX, SANDBOX_PREFIX


@dataclass(frozen=True, slots=True)
class Generation:
    """One of them: where it is, its word, what its ids begin with, and its errors."""

    base: str
    noun: str
    prefix: str
    errors: ErrorTable

    def id(self, sandbox_id: str) -> str:
        """A sandbox's id as this generation shows it."""
        return DEFAULT_SANDBOX if is_default(sandbox_id) else self.prefix + sandbox_id.removeprefix(SANDBOX_PREFIX)

    @property
    def id_field(self) -> str:
        """The name of the field that holds such an id."""
        return f"{self.noun}_id"


SANDBOXES = Generation("/v1/sandboxes", "sandbox", SANDBOX_PREFIX, SANDBOX_ERRORS)
MACHINES = Generation("/v1/machines", "machine", MACHINE_PREFIX, MACHINE_ERRORS)
GENERATIONS = (SANDBOXES, MACHINES)


def generation_of(connection: HTTPConnection) -> Generation:
    """The generation that a request speaks, told by its path."""
    return MACHINES if str(connection.scope["path"]).startswith(MACHINES.base) else SANDBOXES


def in_both(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Operations, whose paths begin after the base, in both generations."""
    return tuple(
        replace(
            operation,
            path=generation.base + operation.path,
            dialect=generation.errors,
            operation_id=operation.name if generation is SANDBOXES else f"{operation.name}_machines",
        )
        for operation in operations
        for generation in GENERATIONS
    )


def passages_in_both(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    """The same for passages."""
    return tuple(
        replace(passage, path=generation.base + passage.path, dialect=generation.errors)
        for passage in passages
        for generation in GENERATIONS
    )
