"""Jupyter messages on the wire (https://jupyter-client.readthedocs.io/en/stable/messaging.html).

jupyter_client's Session makes and signs what is sent. What is received is read here, lazily: most of a message is
never looked at, and a kernel's output is the hottest path there is.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jupyter_client.session import DELIM, Session
from pydantic_core import from_json


class MalformedMessage(Exception):
    """Frames that are no signed Jupyter message."""


def decode(frame: bytes) -> Any:
    """A frame's JSON. Raises ValueError.

    pydantic's parser takes a tenth of json's time for a small frame, but refuses what Python's own takes, such as a
    lone surrogate and very deep nesting; hence the second try.
    """
    try:
        return from_json(frame)
    except ValueError:
        return json.loads(frame)


@dataclass(frozen=True)
class Message:
    """A received message. `parent_id` is the msg_id of the request that it answers, or empty."""

    type: str
    parent_id: str
    content_frame: bytes
    metadata_frame: bytes = b"{}"

    @cached_property
    def content(self) -> dict[str, Any]:
        """The decoded content."""
        decoded: dict[str, Any] = decode(self.content_frame)
        return decoded

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The decoded metadata."""
        decoded: dict[str, Any] = decode(self.metadata_frame)
        return decoded


class Codec:
    """Messages to and from one kernel, signed with its key."""

    def __init__(self, key: bytes) -> None:
        self._session = Session(key=key, username="execd")

    @property
    def identity(self) -> bytes:
        """The routing identity that shell and stdin must share, so that a kernel's input_request finds its way."""
        return bytes(self._session.bsession)

    def pack(self, msg_type: str, content: dict[str, Any]) -> tuple[str, list[bytes]]:
        """A new request's msg_id and its frames. Raises UnicodeEncodeError for text that is no valid Unicode."""
        message = self._session.msg(msg_type, content=content)
        return message["header"]["msg_id"], self._session.serialize(message)

    def unpack(self, frames: list[bytes]) -> Message:
        """The message in `frames`. Raises MalformedMessage."""
        try:
            start = frames.index(DELIM) + 1
            signature, header, parent, metadata, content = frames[start : start + 5]
        except ValueError as error:
            raise MalformedMessage("no delimiter, or too few frames") from error
        if not hmac.compare_digest(signature, self._session.sign([header, parent, metadata, content])):
            raise MalformedMessage("wrong signature")
        try:
            return Message(decode(header)["msg_type"], decode(parent).get("msg_id", ""), content, metadata)
        except (ValueError, KeyError) as error:
            raise MalformedMessage("the header is not what the protocol says") from error
