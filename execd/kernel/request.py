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
    unknown: bool = False
    """Whether it has ended without anybody being able to tell how."""
    never: bool = False
    """Whether it never came to where it was to be carried out."""
    known: bool = False
    """Whether who follows it knows of the latter."""

    @property
    def ended(self) -> bool:
        """Whether reply and idle are both in, or will never be."""
        return self.unknown or self.never or (self.idle and self.reply is not None)

    @property
    def half_ended(self) -> bool:
        """Whether exactly one of the two ends is in."""
        return self.idle != (self.reply is not None)

    def receive(self, message: Message) -> None:
        """Take a message whose parent is this request."""
        if message.type == "execute_reply":
            self.receive_reply(message.content)
        elif message.type == "status":
            if message.content.get("execution_state") == "idle":
                self.receive_idle()
        else:
            self._begin()
            for event in events_of(message):
                self.emit(event)

    def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.changed()

    def receive_reply(self, content: dict[str, Any]) -> None:
        """This is the reply's content."""
        self.reply = content
        self.kernel_exits = _asks_exit(content.get("payload"))
        self.changed()

    def receive_idle(self) -> None:
        """The kernel does nothing more for it."""
        self.idle = True
        self.changed()


class Followed(PendingRequest):
    """A request that an earlier service has sent. What becomes of it is kept until it is handed to whoever follows
    it, who hears of it then as if just sent."""

    __slots__ = ("_kept",)

    def __init__(self, msg_id: str) -> None:
        self._kept: list[Event] = []
        super().__init__(msg_id, self._kept.append, lambda: None, begun=True)

    def receive(self, message: Message) -> None:
        """Take a message whose parent is this request, which is known to have begun then."""
        self.known = True
        super().receive(message)

    def handed_to(self, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """Tell this one from now on, and first what came before."""
        self.emit, self.changed = emit, changed
        for event in self._kept:
            emit(event)
        self._kept.clear()
        changed()
        return self


def _asks_exit(payload: object) -> bool:
    actions = payload if isinstance(payload, list) else []
    asked = (action for action in actions if isinstance(action, dict) and action.get("source") == "ask_exit")
    return any(not action.get("keepkernel") for action in asked)
