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


@dataclass(frozen=True)
class Message:
    """A received message. `parent_id` is the msg_id of the request that it answers, or empty."""

    type: str
    parent_id: str
    content_frame: bytes
    metadata_frame: bytes = b"{}"

    @cached_property
    def content(self) -> dict[str, Any]:
        """The decoded content. Raises MalformedMessage when it is no JSON object."""
        return _object(self.content_frame, "content")

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The decoded metadata. Raises MalformedMessage when it is no JSON object."""
        return _object(self.metadata_frame, "metadata")


class Codec:
    """Messages to and from one kernel, signed with its key."""

    def __init__(self, key: bytes) -> None:
        # Its own for each service: what an adopted kernel is sent must not be taken for what it was sent before.
        self._session = Session(key=key, username="execd")

    def pack(
        self, msg_type: str, content: dict[str, Any], msg_id: str = "", metadata: dict[str, Any] | None = None
    ) -> tuple[str, list[bytes]]:
        """A new request's msg_id, which is made where none is given, and its frames. Raises UnicodeEncodeError for text
        that is no valid Unicode."""
        header = self._session.msg_header(msg_type)
        header["msg_id"] = msg_id or header["msg_id"]
        message = self._session.msg(msg_type, content=content, header=header, metadata=metadata)
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
        kind, parent_id = _object(header, "header").get("msg_type"), _object(parent, "parent header").get("msg_id", "")
        if not (isinstance(kind, str) and isinstance(parent_id, str)):
            raise MalformedMessage("the header is not what the protocol says")
        return Message(kind, parent_id, content, metadata)


def _object(frame: bytes, name: str) -> dict[str, Any]:
    try:
        decoded = _decode(frame)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"the {name} is no JSON that can be read") from error
    if not isinstance(decoded, dict):
        raise MalformedMessage(f"the {name} is no JSON object")
    return decoded


def _decode(frame: bytes) -> Any:
    # pydantic's parser takes a tenth of json's time for a small frame, but refuses what Python's own takes, such as a
    # lone surrogate and deep nesting; hence the second try.
    try:
        return from_json(frame)
    except ValueError:
        return json.loads(frame)
