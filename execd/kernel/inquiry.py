"""What has become of a request that an earlier service has sent to a kernel.

Its reply may have come while nobody was there. Kernels of ours remember the last ones, and are asked on the control
channel, which they answer while code runs, and then in turn if they do not know it yet. Another kernel is asked
something on the shell channel, where it answers in turn: when it does, the request has ended, and how, nobody knows if
its reply has not come.
"""

from __future__ import annotations

from collections.abc import Callable

from execd.kernel.messages import Message
from execd.kernel.request import PendingRequest

OUTCOME, OUTCOME_TOLD = "execd_outcome_request", "execd_outcome_reply"

Send = Callable[[str, str, dict[str, object]], str]
"""Sends a request on the channel of this name, of this type, with this content; returns its msg_id."""


class Inquiry:
    """Asks until it is known. `ours`: the kernel is one that remembers."""

    def __init__(self, request: PendingRequest, send: Send, *, ours: bool) -> None:
        self._request = request
        self._send = send
        self._ours = ours
        self._asked: set[str] = set()
        self._done: set[str] = set()
        self._last_resort = ""

    def begin(self) -> None:
        """Ask."""
        if self._ours:
            self._asked.add(self._send("control", OUTCOME, {"msg_id": self._request.msg_id}))
        else:
            self._ask_in_turn()

    def receive(self, message: Message) -> None:
        """Take any message of the kernel's, after the request has had it if it is one of its own."""
        if self._request.ended:
            return
        if message.type == OUTCOME_TOLD and message.parent_id in self._asked:
            self._told(message)
        elif message.type == "kernel_info_reply" and message.parent_id == self._last_resort:
            self._give_up()
        elif message.type == "status" and message.content.get("execution_state") == "idle":
            self._is_idle(message.parent_id)

    def _told(self, message: Message) -> None:
        state, reply = message.content.get("state"), message.content.get("reply")
        if state != "unknown":
            self._know()
        if state == "ended" and isinstance(reply, dict):
            self._request.receive_reply(reply)
            self._end_if_quiet(message.parent_id)
        elif state == "unknown" and message.parent_id != self._last_resort:
            # It may not have got it yet; in turn, it has.
            self._ask_in_turn()
        elif state == "unknown" and self._request.reply is None:
            self._request.never = True
            self._know()

    def _is_idle(self, parent_id: str) -> None:
        if parent_id in self._asked:
            self._done.add(parent_id)
            self._end_if_quiet(parent_id)
        elif parent_id == self._request.msg_id and self._request.reply is None:
            # Its reply has gone to where nobody is.
            self.begin()

    def _end_if_quiet(self, question: str) -> None:
        # What it has published before it has published that it is done with the question, which may have come sooner
        # than the answer.
        if question in self._done and self._request.reply is not None:
            self._request.receive_idle()

    def _ask_in_turn(self) -> None:
        kind = OUTCOME if self._ours else "kernel_info_request"
        self._last_resort = self._send("shell", kind, {"msg_id": self._request.msg_id} if self._ours else {})
        self._asked.add(self._last_resort)

    def _give_up(self) -> None:
        if self._request.reply is None:
            self._request.unknown = True
            self._know()

    def _know(self) -> None:
        self._request.known = True
        self._request.changed()
