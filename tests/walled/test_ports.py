"""Programs that listen in a sandbox: reached from outside by the proxy, and by nobody else."""

from __future__ import annotations

import httpx
from websockets.sync.client import connect

from tests.inside import Inside, new_sandbox
from tests.running_service import RunningService

# An echo over WebSocket, with nothing but the standard library.
ECHO = """
import base64, hashlib, socket
server = socket.create_server(("127.0.0.1", 8765))
print("on", flush=True)
while True:
    connection, _ = server.accept()
    head = b""
    while b"\\r\\n\\r\\n" not in head:
        head += connection.recv(4096)
    key = [line.split(b": ")[1] for line in head.split(b"\\r\\n") if line.lower().startswith(b"sec-websocket-key")][0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                       b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
    frame = connection.recv(4096)
    size, mask = frame[1] & 127, frame[2:6]
    text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(frame[6:6 + size]))
    connection.sendall(bytes((0x81, size)) + text)
"""


def listening(sandbox: Inside, port: int) -> None:
    """Return once something listens on the port."""
    sandbox.out(f"until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.02; done")


def test_http(client: httpx.Client, sandbox: Inside) -> None:
    sandbox.out("mkdir site; echo hello >site/file")
    sandbox.run("exec python3 -m http.server -d site -b 127.0.0.1 8000", background=True)
    listening(sandbox, 8000)
    assert client.get(f"{sandbox.url}/proxy/8000/file").text == "hello\n"
    assert client.get(f"{sandbox.execd}/proxy/8000/file").text == "hello\n"
    assert client.get("/proxy/8000/file").status_code == 502
    with new_sandbox(client) as other:
        assert client.get(f"{other.url}/proxy/8000/file").status_code == 502
        assert not other.ok("exec 3<>/dev/tcp/127.0.0.1/8000")


def test_websockets(service: RunningService, sandbox: Inside) -> None:
    sandbox.write("/workspace/echo.py", ECHO.encode())
    sandbox.run("exec python3 echo.py", background=True)
    sandbox.out("until grep -q :223D /proc/net/tcp; do sleep 0.02; done")
    with connect(f"ws://{service.authority}{sandbox.url}/proxy/8765/") as socket:
        socket.send("hello")
        assert socket.recv(timeout=30) == "hello"


def test_the_service_itself_is_not_reached(service: RunningService, sandbox: Inside) -> None:
    port = service.authority.rpartition(":")[2]
    assert not sandbox.ok(f"exec 3<>/dev/tcp/127.0.0.1/{port}")
    assert sandbox.ok("exec 3<>/dev/tcp/127.0.0.1/${JUPYTER_PORT:-44771}")
