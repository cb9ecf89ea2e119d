"""Messages on the wire, against jupyter_client's own Session."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import DELIM, Session

from execd.kernel.messages import Codec, MalformedMessage

KEY = b"a key"
contents = st.dictionaries(st.text(max_size=10), st.none() | st.integers() | st.text(max_size=20), max_size=5)


def kernel_session(key: bytes = KEY) -> Session:
    return Session(key=key, username="kernel")


def frames_of(
    header: bytes = b'{"msg_type":"status"}',
    parent: bytes = b"{}",
    metadata: bytes = b"{}",
    content: bytes = b"{}",
) -> list[bytes]:
    """Rightly signed frames, whatever is in them."""
    parts = [header, parent, metadata, content]
    return [DELIM, kernel_session().sign(parts), *parts]


@given(contents)
def test_what_we_pack_a_kernel_reads(content: dict[str, Any]) -> None:
    msg_id, frames = Codec(KEY).pack("execute_request", content)
    session = kernel_session()
    _, parts = session.feed_identities(frames)
    read = session.deserialize(parts)
    assert (read["header"]["msg_id"], read["header"]["msg_type"], read["content"]) == (
        msg_id,
        "execute_request",
        content,
    )


@given(contents, contents)
def test_what_a_kernel_sends_we_unpack(content: dict[str, Any], metadata: dict[str, Any]) -> None:
    session = kernel_session()
    parent = session.msg("execute_request")
    sent = session.msg("stream", content, parent=parent, metadata=metadata)
    message = Codec(KEY).unpack(session.serialize(sent, ident=b"kernel.stream"))
    assert (message.type, message.parent_id) == ("stream", parent["header"]["msg_id"])
    assert message.content == content
    assert message.metadata == metadata


def test_a_message_without_a_parent_has_an_empty_one() -> None:
    session = kernel_session()
    assert Codec(KEY).unpack(session.serialize(session.msg("status", {}))).parent_id == ""


def test_buffers_behind_the_content_are_passed_over() -> None:
    session = kernel_session()
    frames = session.serialize(session.msg("display_data", {"data": {}}))
    assert Codec(KEY).unpack([*frames, b"a buffer", b"another"]).content == {"data": {}}


def test_a_message_of_another_key_is_refused() -> None:
    session = kernel_session(b"another key")
    with pytest.raises(MalformedMessage, match="wrong signature"):
        Codec(KEY).unpack(session.serialize(session.msg("status", {})))


@pytest.mark.parametrize("part", [2, 3, 4, 5])
def test_a_message_that_was_changed_is_refused(part: int) -> None:
    frames = frames_of()
    frames[part] += b" "
    with pytest.raises(MalformedMessage, match="wrong signature"):
        Codec(KEY).unpack(frames)


@pytest.mark.parametrize("count", range(6))
def test_too_few_frames_are_refused(count: int) -> None:
    with pytest.raises(MalformedMessage, match="too few frames"):
        Codec(KEY).unpack(frames_of()[:count])


def test_frames_without_a_delimiter_are_refused() -> None:
    with pytest.raises(MalformedMessage, match="no delimiter"):
        Codec(KEY).unpack(frames_of()[1:])


DEEP = b"[" * 100_000 + b"]" * 100_000
NO_OBJECT = [b"", b"{", b"\xff", b"[]", b"null", b"7", b'"text"', DEEP]


@pytest.mark.parametrize(
    "header", [*NO_OBJECT, b"{}", b'{"msg_type":["status"]}', b'{"msg_type":null}'], ids=lambda frame: repr(frame)[:24]
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(MalformedMessage, match="header"):
        Codec(KEY).unpack(frames_of(header=header))


@pytest.mark.parametrize("parent", [*NO_OBJECT, b'{"msg_id":["m1"]}'], ids=lambda frame: repr(frame)[:24])
def test_a_parent_that_is_none_is_refused(parent: bytes) -> None:
    with pytest.raises(MalformedMessage, match="header"):
        Codec(KEY).unpack(frames_of(parent=parent))


@pytest.mark.parametrize("content", NO_OBJECT, ids=lambda frame: repr(frame)[:24])
def test_content_that_is_no_object_is_refused_when_it_is_looked_at(content: bytes) -> None:
    message = Codec(KEY).unpack(frames_of(content=content))
    with pytest.raises(MalformedMessage, match="content"):
        _ = message.content


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_garbage_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(MalformedMessage):
        Codec(KEY).unpack(frames)


def test_no_two_services_give_requests_the_same_names() -> None:
    # Whoever adopts a kernel may have the very process number that its former service had.
    first, _ = Codec(KEY).pack("execute_request", {})
    second, _ = Codec(KEY).pack("execute_request", {})
    assert first != second


def test_text_that_is_no_unicode_cannot_be_packed() -> None:
    with pytest.raises(UnicodeEncodeError):
        Codec(KEY).pack("execute_request", {"code": "\ud800"})


def test_numbers_of_any_length_do_not_break_the_reader() -> None:
    message = Codec(KEY).unpack(frames_of(content=b'{"execution_count":%s}' % (b"9" * 5000)))
    with pytest.raises(MalformedMessage):
        _ = message.content
    assert json.loads(message.metadata_frame) == {}
