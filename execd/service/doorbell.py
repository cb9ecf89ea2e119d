"""The port inside a sandbox that clients of the code interpreter wait for: it is answered, and nothing more.

They take a port that listens for a sign that code can be run (JUPYTER_PORT), and look from inside the sandbox, whose
network is its own.
"""

from __future__ import annotations

import asyncio
import socket

DOORBELL_PORT = 44771


async def answer_doorbell(sock: socket.socket) -> None:
    """Answer on this socket of the sandbox's network until cancelled."""
    with sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", DOORBELL_PORT))
        sock.listen(16)
        while True:
            caller, _ = await asyncio.get_running_loop().sock_accept(sock)
            caller.close()
