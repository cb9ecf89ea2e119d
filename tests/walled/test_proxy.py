"""Network `proxy`, through the whole service: the only way out, for what the operator's and the sandbox's rules let."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.live.waiting import eventually
from tests.running_service import RunningService, running_service
from tests.walled.sandbox import Walled, walled
from tests.wheels import package_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an index of packages at every address of this machine."""
    with package_index(tmp_path_factory.mktemp("index"), "") as port:
        yield port


@pytest.fixture(scope="module")
def service(index: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One whose sandboxes reach that index, by its address."""
    allowed = [f"127.0.0.0/8:{index}"]
    with running_service(
        tmp_path_factory.mktemp("proxy"), isolation="bwrap", network="proxy", egress_allow=allowed
    ) as running:
        yield running


@pytest.fixture
def sandbox(service: RunningService) -> Iterator[Walled]:
    """One that asks for nothing in particular."""
    with walled(service) as made:
        yield made


# NO_PROXY has what is the sandbox's own loopback; the index is at another address of the machine's.
def fetch(index: int) -> str:
    return f"curl -sS --noproxy '' http://127.0.0.2:{index}/simple/teapot/"


def test_programs_find_their_way(sandbox: Walled, index: int) -> None:
    assert sandbox.shown["network"] == {"mode": "proxy"}
    found = sandbox.sh(fetch(index))
    assert "teapot-1.0" in found.out, found
    code = f"import urllib.request as r; print(r.urlopen('http://127.0.0.2:{index}/simple/').status)"
    assert sandbox.python(code) == "200\n"
    pip = f"pip install --quiet -i http://127.0.0.2:{index}/simple --trusted-host 127.0.0.2 teapot"
    installed = sandbox.sh(pip)
    assert installed.code == 0, installed
    assert sandbox.python("import teapot; print(teapot.heat)") == "hot\n"


def test_what_is_not_allowed_is_refused_with_a_sentence(sandbox: Walled, service: RunningService, index: int) -> None:
    assert "is not among the hosts that EXECD_EGRESS_ALLOW" in sandbox.sh("curl -sS http://pypi.example/").out
    refused = sandbox.sh("curl -sS https://pypi.example/")
    assert refused.code != 0
    assert "403" in refused.err
    code = "import urllib.request as r\ntry: r.urlopen('https://pypi.example/')\nexcept OSError as e: print(e)"
    assert "EXECD_EGRESS_ALLOW" in sandbox.python(code)
    port = int(service.authority.rpartition(":")[2])
    for host in ("127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost"):
        answer = sandbox.sh(f"curl -sS --noproxy '' http://{host}:{port}/ping")
        assert "EXECD_EGRESS_ALLOW" in answer.out, answer


def test_the_service_s_own_port_is_refused_whatever_the_rules(folder: Path) -> None:
    port = _free_port()
    rules = [f"127.0.0.0/8:{port}", f"*:{port}"]
    with (
        running_service(folder, isolation="bwrap", network="proxy", egress_allow=rules, port=port) as service,
        walled(service) as sandbox,
    ):
        answer = sandbox.sh(f"curl -sS --noproxy '' http://127.0.0.1:{port}/ping")
        assert "is the service itself" in answer.out, (answer, service.url)


def test_there_is_no_other_way_out(sandbox: Walled, index: int) -> None:
    code = (
        "import socket\n"
        "def tried(host):\n"
        f"    try: socket.create_connection((host, {index}), 2); return 'reached'\n"
        "    except OSError as error: return error.errno\n"
        "print(*map(tried, ['127.0.0.2', '192.0.2.1', '8.8.8.8']))"
    )
    assert sandbox.python(code).split() == ["111", "101", "101"]
    assert (
        sandbox.sh("cat /proc/net/route; ls /proc/net/dev_mcast >/dev/null; cut -d: -f1 /proc/net/dev").out.split()[-1]
        == "lo"
    )
    taken = "import socket; s = socket.socket(); s.setsockopt(1, 15, 1); s.bind(('127.0.0.1', 3128))"
    assert "in use" in sandbox.python(taken)


def test_it_outlives_the_kernels(sandbox: Walled, index: int) -> None:
    sandbox.python("import os; os._exit(1)")
    code = f"import urllib.request as r; print(r.urlopen('http://127.0.0.2:{index}/simple/').status)"
    assert sandbox.python(code) == "200\n"
    assert sandbox.client.post(f"{sandbox.base}/hibernate").status_code == 200
    assert sandbox.client.post(f"{sandbox.base}/resume").status_code == 200
    assert "teapot" in sandbox.sh(fetch(index)).out


def test_it_ends_with_the_sandbox_and_others_keep_theirs(service: RunningService, sandbox: Walled, index: int) -> None:
    connections = _connections(service)
    with walled(service) as other:
        hold = (
            "import socket\n"
            "s = socket.create_connection(('127.0.0.1', 3128))\n"
            f"s.send(b'CONNECT 127.0.0.2:{index} HTTP/1.1\\r\\n\\r\\n')\n"
            "print(s.recv(100).decode())"
        )
        assert "200" in other.python(hold)
        assert _connections(service) > connections
    eventually(lambda: _connections(service) <= connections)
    assert "teapot" in sandbox.sh(fetch(index)).out


def test_one_sandbox_may_not_take_all_connections(service: RunningService, sandbox: Walled, index: int) -> None:
    crowd = (
        "import socket\n"
        "crowd = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(128)]\n"
        "last = socket.create_connection(('127.0.0.1', 3128))\n"
        "print(last.recv(1000).decode())"
    )
    assert "has 128 connections to its proxy already" in sandbox.python(crowd)
    with walled(service) as other:
        assert "teapot" in other.sh(fetch(index)).out
    sandbox.python("[s.close() for s in crowd]")
    eventually(lambda: "teapot" in sandbox.sh(fetch(index)).out)


@pytest.mark.parametrize("asked", [{"internet_access": False}, {"network": {"mode": "none"}}])
def test_a_sandbox_may_have_less(service: RunningService, index: int, asked: dict[str, Any]) -> None:
    with walled(service, **asked) as sandbox:
        assert sandbox.shown["network"] == {"mode": "none"}
        assert sandbox.sh("env | grep -i proxy").code == 1
        assert sandbox.sh("curl -sS --proxy http://127.0.0.1:3128 http://a.example/").code == 7


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"network": {"mode": "full"}}, 400, "EXECD_NETWORK_ALLOWED"),
        ({"network": {"mode": "host"}}, 400, "expected one of none, proxy"),
        ({"network": {"mode": 3}}, 400, "expected mode"),
        ({"network": {"modus": "none"}}, 400, "expected mode"),
        ({"network": {"egress": {"default": "allow"}}}, 400, "network.egress"),
    ],
)
def test_a_sandbox_may_not_have_more(service: RunningService, asked: dict[str, Any], status: int, said: str) -> None:
    with service.client() as client:
        answer = client.post("/v1/sandboxes", json=asked)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_a_sandbox_s_own_rules_narrow_and_never_widen(service: RunningService, index: int) -> None:
    with walled(service, network={"egress": {"deny": ["127.0.0.2"], "allow": ["127.0.0.0/8", "*"]}}) as sandbox:
        assert "this sandbox's own rules" in sandbox.sh(fetch(index)).out
        assert "teapot" in sandbox.sh(fetch(index).replace("127.0.0.2", "127.0.0.3")).out
        assert "EXECD_EGRESS_ALLOW" in sandbox.sh("curl -sS http://pypi.example/").out
        changed = sandbox.client.patch(f"{sandbox.base}/egress", json={"egress": {"defaultAction": "allow"}})
        assert changed.status_code == 200, changed.text
        assert "teapot" in sandbox.sh(fetch(index)).out
        refused = sandbox.client.patch(f"{sandbox.base}/egress", json={"egress": {"defaultAction": "never"}})
        assert (refused.status_code, "egress.defaultAction" in refused.text) == (400, True)
        sandbox.client.patch(f"{sandbox.base}/egress", json={"egress": {}}).raise_for_status()
        assert "this sandbox's own rules" in sandbox.sh(fetch(index)).out
        forked = sandbox.client.post(f"{sandbox.base}/fork").json()
        with closing(Walled(service, forked)) as copy:
            assert "this sandbox's own rules" in copy.sh(fetch(index)).out


def test_opensandbox_s_policy_is_enforced(service: RunningService, index: int) -> None:
    policy = {"defaultAction": "deny", "egress": [{"action": "allow", "target": "127.0.0.3"}]}
    with service.client() as client:
        body = {"image": {"uri": "python:3.11"}, "networkPolicy": policy}
        made = client.post("/opensandbox/v1/sandboxes", json=body)
        assert made.status_code == 202, made.text
        with closing(Walled(service, made.json())) as sandbox:
            assert "this sandbox's own rules" in sandbox.sh(fetch(index)).out
            assert "teapot" in sandbox.sh(fetch(index).replace("127.0.0.2", "127.0.0.3")).out


def test_where_there_is_no_proxy_rules_are_refused(folder: Path) -> None:
    policy = {"defaultAction": "deny", "egress": [{"action": "allow", "target": "a.example"}]}
    with running_service(folder, isolation="bwrap") as service, walled(service) as sandbox:
        answer = sandbox.client.patch(f"{sandbox.base}/egress", json={"egress": policy})
        assert (answer.status_code, "EXECD_NETWORK" in answer.text or "rules cannot" in answer.text) == (501, True)
        body = {"image": {"uri": "x"}, "networkPolicy": policy}
        assert sandbox.client.post("/opensandbox/v1/sandboxes", json=body).status_code == 501
        closed = {"image": {"uri": "x"}, "networkPolicy": {"defaultAction": "deny"}}
        assert sandbox.client.post("/opensandbox/v1/sandboxes", json=closed).status_code == 202


def _connections(service: RunningService) -> int:
    return len(psutil.Process(service.process.pid).net_connections("tcp"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
