"""The listening socket."""

from __future__ import annotations

import socket
from pathlib import Path

from execd.server import listen
from execd.settings import Settings


def test_connections_send_at_once_what_is_written(tmp_path: Path) -> None:
    with (
        listen(Settings(port=0, data_dir=tmp_path)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
