"""One execute_request, from its sending until both of its ends are in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from execd.events import Event
from execd.kernel.messages import Message
from execd.kernel.translate import events_of

Emit = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """What is asked for, whatever dialect it came in. `timeout` in seconds, None for the service's default; `cwd` is
    for shells, which go there first; `envs` are environment variables of this run alone, whose values are nobody's
    business. `execd.kernel.variables.check` says which an interpreter takes. `given` is what an agent's code finds as
    its input."""

    code: str
    timeout: float | None = None
    allow_stdin: bool = False
    cwd: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)
    given: Mapping[str, Any] | None = None


@dataclass(slots=True, eq=False)
class PendingRequest:
    """What is known of a request. It has begun with its first message but the busy status, which comes before the
    kernel can be interrupted; it has ended when the reply *and* the idle status of this very request are in.

    `changed` is called whenever one of these comes; `emit` gets the events, also those that come after the end.
    """

    msg_id: str
    emit: Emit
    changed: Callable[[], None]
    reply: dict[str, Any] | None = None
    idle: bool = False
    begun: bool = False
    exit_code: int | None = None
    kernel_exits: bool = field(default=False)

    @property
    def ended(self) -> bool:
        """Whether reply and idle are both in."""
        return self.idle and self.reply is not None

    @property
    def half_ended(self) -> bool:
        """Whether exactly one of the two ends is in."""
        return self.idle != (self.reply is not None)

    def receive(self, message: Message) -> None:
        """Take a message whose parent is this request."""
        if message.type == "execute_reply":
            self._receive_reply(message.content)
        elif message.type == "status":
            self._receive_status(message.content.get("execution_state"))
        else:
            self._begin()
            for event in events_of(message):
                self.emit(event)

    def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.changed()

    def _receive_reply(self, content: dict[str, Any]) -> None:
        self.reply = content
        self.kernel_exits = _asks_exit(content.get("payload"))
        self.changed()

    def _receive_status(self, state: object) -> None:
        if state == "idle":
            self.idle = True
            self.changed()


def _asks_exit(payload: object) -> bool:
    actions = payload if isinstance(payload, list) else []
    asked = (action for action in actions if isinstance(action, dict) and action.get("source") == "ask_exit")
    return any(not action.get("keepkernel") for action in asked)
