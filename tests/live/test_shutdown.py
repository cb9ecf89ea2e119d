"""The end of the service: asked to stop, it ends everything honestly; killed, it leaves no kernel behind."""

from __future__ import annotations

import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.live.reading import Stream, end_of, is_a, of_type, running, says
from tests.live.waiting import eventually, is_gone
from tests.running_service import RunningService, running_service

WHERE = "import os\nprint(os.getpid(), os.path.dirname(os.environ['IPYTHONDIR']), flush=True)\nwhile True: pass"


def busy_context(client: httpx.Client, stack: ExitStack) -> tuple[Stream, Stream, int, Path]:
    """A run that is on and one that waits for it; the kernel's pid and the service's runtime folder."""
    context_id = client.post("/code/context", json={"language": "python"}).json()["id"]
    first = stack.enter_context(running(client, WHERE, id=context_id))
    second = stack.enter_context(running(client, "print('never')", id=context_id))
    pid, folder = first.first_line().split()
    return first, second, int(pid), Path(folder)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_every_stream_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    with running_service(tmp_path) as service, service.client() as client, ExitStack() as stack:
        busy = [busy_context(client, stack) for _ in range(2)]
        service.process.send_signal(signum)
        for first, second, _, _ in busy:
            for stream in (first, second):
                assert end_of(stream.rest()) == ("failed", "service_restarted")
                assert of_type(stream.seen, "error")[0]["error"]["ename"] == "ServiceEnded"
        assert service.process.wait(30) == 0
    assert all(is_gone(pid) for _, _, pid, _ in busy)
    assert not any(folder.exists() for _, _, _, folder in busy)
    assert "Traceback" not in service.log_file.read_text()


def test_an_idle_service_stops_too(tmp_path: Path) -> None:
    with running_service(tmp_path) as service:
        assert service.stop() == 0
    assert "Traceback" not in service.log_file.read_text()


def test_a_client_that_does_not_read_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    code = "import sys\nwhile True: sys.stdout.write('x' * 100_000)"
    with (
        running_service(tmp_path, shutdown_grace=1) as service,
        service.client() as client,
        running(client, code) as stream,
    ):
        stream.until(is_a("stdout"))
        assert service.stop() == 0


def test_a_request_whose_body_comes_too_late_is_refused(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client, running(client, WHERE) as stream:
        stream.until(is_a("stdout"))
        body = b'{"code": "1", "context": {"id": "%s"}}' % stream.seen[0]["text"].encode()
        with connected(service) as late:
            late.sendall(
                b"POST /code HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:9])
            )
            assert client.get("/ping").status_code == 200
            service.process.send_signal(signal.SIGTERM)
            assert end_of(stream.rest()) == ("failed", "service_restarted")
            late.sendall(body[9:])
            answer = b"".join(iter(lambda: late.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"SERVICE_UNAVAILABLE" in answer
        assert service.process.wait(30) == 0


def connected(service: RunningService) -> socket.socket:
    host, port = service.authority.split(":")
    return socket.create_connection((host, int(port)))


def test_killed_it_leaves_no_kernel_and_starts_again(tmp_path: Path) -> None:
    with (
        running_service(tmp_path, warden_patience=1) as service,
        service.client() as client,
        running(client, WHERE) as stream,
    ):
        pid, folder = stream.first_line().split()
        service.stop(signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            stream.rest()
    eventually(lambda: is_gone(int(pid)))
    with running_service(tmp_path) as service, service.client() as client:
        assert not Path(folder).exists()
        [left] = client.get("/code/executions").json()
        assert (left["status"], left["reason"]) == ("failed", "service_restarted")
        with running(client, "print('again')") as stream:
            stream.until(says("again"))
