"""The connections that clients get."""

from __future__ import annotations

import socket

from execd.server import listen
from execd.settings import Settings


def test_connections_send_small_packets_at_once() -> None:
    # Without this, the end of a short stream waits for the client's delayed acknowledgement of what came before it.
    with (
        listen(Settings(port=0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
