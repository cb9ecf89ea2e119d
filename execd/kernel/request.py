"""One execute_request, from its sending until both of its ends are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from execd.kernel.messages import Message

Sink = Callable[[Message], None]


@dataclass(slots=True, eq=False)
class PendingRequest:
    """What is known of a request. It has begun with its first message but the busy status, which comes before the
    kernel can be interrupted; it has ended when the reply *and* the idle status of this very request are in.

    `changed` is called whenever one of these comes; `sink` gets everything else, also what comes after the end.
    """

    msg_id: str
    sink: Sink
    changed: Callable[[], None]
    reply: dict[str, Any] | None = None
    idle: bool = False
    begun: bool = False
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
            self.sink(message)

    def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            self.changed()

    def _receive_reply(self, content: dict[str, Any]) -> None:
        self.reply = content
        payloads = content.get("payload") or []
        exits = (payload for payload in payloads if payload.get("source") == "ask_exit")
        self.kernel_exits = any(not payload.get("keepkernel") for payload in exits)
        self.changed()

    def _receive_status(self, state: object) -> None:
        if state == "idle":
            self.idle = True
            self.changed()
