"""Messages between the warden, its clients and its zygotes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from execd.warden.protocol import Unreadable, failure, make_pair, raise_failure, receive, send
from tests.warden.tools import descriptors


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = make_pair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("size", [0, 1, 32 * 1024 - 20, 32 * 1024, 5_000_000])
def test_messages_of_any_size_arrive_with_their_descriptors(
    pair: tuple[socket.socket, socket.socket], size: int
) -> None:
    read, write = os.pipe()
    send(pair[0], {"text": "x" * size}, [read, write])
    received = receive(pair[1])
    assert received is not None
    message, fds = received
    assert message == {"text": "x" * size}
    os.write(fds[1], b"through")
    assert os.read(read, 100) == b"through"
    assert not any(map(os.get_inheritable, fds))
    for fd in (read, write, *fds):
        os.close(fd)


def test_names_that_are_no_text_arrive_as_they_are(pair: tuple[socket.socket, socket.socket]) -> None:
    name = os.fsdecode(b"caf\xe9 \xff")
    send(pair[0], {"name": name})
    received = receive(pair[1])
    assert received is not None
    assert received[0]["name"] == name


def test_hanging_up_ends_the_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()
    assert receive(pair[1]) is None


@pytest.mark.parametrize("data", [b"=[]", b"={", b"?{}", b"@"])
def test_what_is_no_message_is_refused_and_leaves_no_descriptor(
    pair: tuple[socket.socket, socket.socket], data: bytes
) -> None:
    before = descriptors()
    socket.send_fds(pair[0], [data], [pair[0].fileno()] if data != b"@" else [])
    with pytest.raises(Unreadable):
        receive(pair[1])
    assert descriptors() == before


def test_errors_keep_their_number_and_their_file() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        raise_failure(failure(FileNotFoundError(2, "No such file or directory", b"/a/b")))
    assert caught.value.filename == "/a/b"
    with pytest.raises(PermissionError):
        raise_failure(failure(PermissionError(13, "no")))
