"""A sandbox with network `proxy` reaches what the operator lets it reach, and of that what it asks for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.inside import Inside, new_sandbox
from tests.running_service import RunningService, running_service

FETCH = "python3 -c \"import urllib.request as r; print(r.urlopen('http://{where}/', timeout=20).read().decode())\""


class Hello(BaseHTTPRequestHandler):
    """Answers everybody."""

    def do_GET(self) -> None:
        """The only thing that can be asked for."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Nothing."""


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    """The port of a server of the machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, backend: int) -> Iterator[RunningService]:
    """A service whose sandboxes may ask for the proxy, and reach that server by it."""
    folder = tmp_path_factory.mktemp("proxied")
    rules = [f"127.0.0.1/32:{backend}", "*.example.com"]
    with running_service(folder, isolation="bwrap", network_allowed=["proxy"], egress_allow=rules) as running:
        yield running


@pytest.fixture
def outside(proxied: RunningService) -> Iterator[httpx.Client]:
    """A client of that service."""
    with proxied.client() as connected:
        yield connected


def fetch(sandbox: Inside, where: str) -> dict[str, Any]:
    """Ask for a page from inside, by the proxy even where it is on the same host by its name."""
    return sandbox.run(f"unset NO_PROXY no_proxy; {FETCH.format(where=where)}")


def policy(sandbox: Inside) -> dict[str, Any]:
    """What the sandbox may reach, as it is told."""
    found: dict[str, Any] = sandbox.client.get(f"{sandbox.url}/proxy/18080/policy").raise_for_status().json()
    return found


def test_nothing_without_asking(outside: httpx.Client, backend: int) -> None:
    with new_sandbox(outside) as sandbox:
        assert fetch(sandbox, f"127.0.0.1:{backend}")["exit_code"] != 0
        assert sandbox.out("ls /sys/class/net 2>/dev/null || tail -n +3 /proc/net/dev | cut -d: -f1").split() == ["lo"]
        told = policy(sandbox)
        assert (told["mode"], told["policy"]) == ("deny_all", {"defaultAction": "deny", "egress": []})


def test_what_the_operator_allows(outside: httpx.Client, proxied: RunningService, backend: int) -> None:
    with new_sandbox(outside, network={"mode": "proxy"}) as sandbox:
        assert fetch(sandbox, f"127.0.0.1:{backend}")["stdout"] == "hello\n"
        for other in ("127.0.0.1:1", "198.51.100.1", proxied.authority, "elsewhere.net"):
            refused = fetch(sandbox, other)
            assert refused["exit_code"] != 0
            assert "EXECD_EGRESS_ALLOW" in refused["stderr"], refused
        targets = [rule["target"] for rule in policy(sandbox)["policy"]["egress"]]
        assert targets == [f"127.0.0.1/32:{backend}", "*.example.com"]


def test_its_own_rules_narrow_that(outside: httpx.Client, backend: int) -> None:
    with new_sandbox(outside, network={"egress": {"mode": "custom", "allow_cidrs": ["198.51.100.0/24"]}}) as sandbox:
        refused = fetch(sandbox, f"127.0.0.1:{backend}")
        assert "not among the hosts that this sandbox was given" in refused["stderr"]
        egress = {"egress": {"mode": "allow_all"}}
        assert outside.patch(f"{sandbox.url}/egress", json=egress).status_code == 200
        assert fetch(sandbox, f"127.0.0.1:{backend}")["stdout"] == "hello\n"
        denied = [{"action": "deny", "target": "127.0.0.0/8"}]
        answer = outside.patch(f"{sandbox.url}/proxy/18080/policy", json=denied)
        assert (answer.status_code, answer.json()["policy"]["egress"][0]) == (200, denied[0])
        assert fetch(sandbox, f"127.0.0.1:{backend}")["exit_code"] != 0
        removed = outside.request("DELETE", f"{sandbox.url}/proxy/18080/policy", json=["127.0.0.0/8"])
        assert removed.status_code == 200
        assert fetch(sandbox, f"127.0.0.1:{backend}")["stdout"] == "hello\n"


def test_what_is_not_permitted_is_refused(outside: httpx.Client) -> None:
    refused = outside.post("/v1/sandboxes", json={"network": {"mode": "full"}})
    assert (refused.status_code, "EXECD_NETWORK_ALLOWED" in refused.json()["error"]) == (501, True)
    with new_sandbox(outside, internet_access=False) as sandbox:
        body = [{"action": "allow", "target": "example.com"}]
        assert outside.patch(f"{sandbox.url}/proxy/18080/policy", json=body).status_code in (200, 501)
        assert policy(sandbox)["mode"] == "deny_all"
