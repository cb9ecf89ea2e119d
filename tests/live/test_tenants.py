"""Two tenants of one service: what is one's is not there for the other, on any route."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from execd.app import EXECD_OPERATIONS, OPERATIONS, PASSAGES
from tests.live.reading import SUCCEEDED, body_of, end_of, is_a, run, running, text_of
from tests.running_service import RunningService, running_service

OWN = ("operator", "ours", "theirs")
# What is at the root works in each tenant's own sandbox; these name something of it by an id.
NAMED = re.compile(r"{(\w+)(?::\w+)?}")


def keys(service: RunningService, *arguments: str) -> str:
    """What `execd keys` prints for this service."""
    command = [sys.executable, "-m", "execd", "keys", *arguments, "--data-dir", str(service.data_dir)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip()


@dataclass
class Tenant:
    """A key of a tenant, and clients that have it."""

    service: RunningService
    key: str

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """An HTTP client with the key."""
        with self.service.client(headers={"Authorization": f"Bearer {self.key}"}) as client:
            yield client


@dataclass
class Street:
    """A service, and two tenants in it: one that has something of everything, and one that has nothing."""

    service: RunningService
    rich: Tenant
    poor: Tenant
    ids: dict[str, str]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """A service with two tenants."""
    with running_service(tmp_path_factory.mktemp("street")) as service:
        rich = Tenant(service, keys(service, "create", "--tenant", "rich"))
        poor = Tenant(service, keys(service, "create", "--tenant", "poor"))
        with rich.client() as client:
            yield Street(service, rich, poor, furnished(client))


def furnished(client: httpx.Client) -> dict[str, str]:
    """Something of everything, by the names of path parameters."""
    sandbox = client.post("/v1/sandboxes", json={}).json()["id"]
    inside = f"/v1/sandboxes/{sandbox}/proxy/44772"
    context = client.post(f"{inside}/code/context", json={"language": "python"}).json()["id"]
    answer = client.post(f"{inside}/code", json=body_of("open('made.txt', 'w').write('theirs')", id=context))
    command = client.post(f"{inside}/command", json={"command": "sleep 1000", "background": True})
    pid = client.post(f"/v1/sandboxes/{sandbox}/exec", json=SLEEP).json()["pid"]
    artifacts = client.get(f"/v1/sandboxes/{sandbox}/code/artifacts").json()["items"]
    terminal = client.post(f"{inside}/pty", json={}).json()["session_id"]
    session = client.post(f"{inside}/session", json={}).json()["session_id"]
    return {
        "sandbox_id": sandbox,
        "context_id": context,
        "ctx_id": context,
        "execution_id": answer.headers["EXECD-EXECUTION-ID"],
        "run_id": answer.headers["EXECD-EXECUTION-ID"],
        "command_id": command.headers["EXECD-EXECUTION-ID"],
        "pid": str(pid),
        "artifact_id": artifacts[0]["id"],
        "session_id": session or terminal,
        "port": "80",
        "path": "x",
    }


def filled(path: str, ids: dict[str, str]) -> str:
    """The path with these ids; what has none of them stands for itself."""
    return NAMED.sub(lambda found: ids.get(found[1], "1"), path)


SLEEP = {"command": "sleep", "args": ["1000"], "background": True}

# Bodies that are looked at before what they are for is looked for.
BODIES: dict[str, object] = {
    "timeout": {"timeout_ms": 1000},
    "host": {"port": 80},
    "egress": {"egress": {}},
    "renew-expiration": {"expiresAt": "2100-01-01T00:00:00Z"},
    "policy": [],
}

NESTED = [(found.method, found.path) for found in OPERATIONS if "{sandbox_id}" in found.path]
BELOW = [(found.method, f"/v1/sandboxes/{{sandbox_id}}/proxy/44772{found.path}") for found in EXECD_OPERATIONS]
AT_ROOT = [
    (found.method, found.path)
    for found in OPERATIONS
    if re.search(r"{(context_id|execution_id|command_id|session_id)", found.path)
    and "{sandbox_id}" not in found.path
    # There are none, for anybody.
    and "/isolated/" not in found.path
]


@pytest.mark.parametrize(("method", "path"), [*NESTED, *BELOW, *AT_ROOT])
def test_what_is_another_s_is_not_there(street: Street, method: str, path: str) -> None:
    with street.poor.client() as client:
        body = BODIES.get(path.rpartition("/")[2], {})
        answer = client.request(method, filled(path, street.ids), json=None if method == "GET" else body)
    # A route that first looks at what it was asked for may complain of that; it tells nothing either.
    complaint = answer.status_code in (400, 415, 422) and "{sandbox_id}" not in path
    expected_by_clients = answer.status_code in (400, 500) and "not found" in answer.text
    assert answer.status_code == 404 or complaint or expected_by_clients, (answer.status_code, answer.text)
    assert "theirs" not in answer.text


@pytest.mark.parametrize("path", [found.path for found in PASSAGES if "{sandbox_id}" in found.path])
def test_nor_by_a_websocket(street: Street, path: str) -> None:
    url = f"ws://{street.service.authority}{filled(path, street.ids)}?channel=exec"
    headers = {"Authorization": f"Bearer {street.poor.key}"}
    with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
        pass
    assert refused.value.response.status_code == 404


def test_lists_have_nothing_of_another(street: Street) -> None:
    with street.poor.client() as poor, street.rich.client() as rich:
        sandbox = street.ids["sandbox_id"]
        for path, name in (
            ("/v1/sandboxes", ""),
            ("/v1/machines", ""),
            ("/v1/executions", "items"),
            ("/opensandbox/v1/sandboxes", "items"),
            ("/code/executions", ""),
            ("/code/contexts", ""),
        ):
            told = poor.get(path).json()
            assert (told[name] if name else told) == [], path
        assert [found["id"] for found in rich.get("/v1/sandboxes").json()] == [sandbox]
        found = rich.get("/v1/executions").json()["items"]
        assert {street.ids["execution_id"], street.ids["command_id"]} <= {item["id"] for item in found}
        assert {item["sandbox_id"] for item in found} == {sandbox}


def test_each_has_a_default_sandbox_of_its_own(street: Street) -> None:
    with street.poor.client() as poor, street.rich.client() as rich:
        assert end_of(run(rich, "kept = 'of the rich'")) == SUCCEEDED
        assert text_of(run(poor, "print('kept' in globals())")) == "False\n"
        assert text_of(run(rich, "print(kept)")) == "of the rich\n"
        assert [item["sandbox_id"] for item in poor.get("/v1/executions").json()["items"]] == ["default"]
        assert len(poor.get("/v1/executions", params={"sandbox": "default"}).json()["items"]) == 1


def test_a_key_of_the_operator_s_sees_what_was_there_before(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        run(client, "before = 1")
        poor = Tenant(service, keys(service, "create", "--tenant", "poor"))
        operator = Tenant(service, keys(service, "create", "--tenant", "default"))
        with poor.client() as theirs, operator.client() as ours:
            # Until it is known that there are keys.
            while client.get("/code/contexts").status_code == 200:
                pass
            assert client.get("/code/contexts").status_code == 401
            assert text_of(run(ours, "print(before)")) == "1\n"
            assert theirs.get("/code/contexts").json() == []
        listed = keys(service, "list").splitlines()
        assert len(listed) == 2
        keys(service, "revoke", listed[0].split()[0])
        assert "revoked" in keys(service, "list").splitlines()[0]
        with poor.client() as theirs:
            while theirs.get("/code/contexts").status_code == 200:
                pass
            assert theirs.get("/code/contexts").status_code in (401, 429)


@pytest.mark.parametrize(
    ("scope", "method", "path", "body", "allowed"),
    [
        ("read", "GET", "/v1/sandboxes", None, True),
        ("read", "POST", "/v1/sandboxes", {}, False),
        ("read", "POST", "/code", body_of("1"), False),
        ("run", "POST", "/code", body_of("1"), True),
        ("run", "GET", "/code/executions", None, False),
        ("run", "POST", "/v1/sandboxes", {}, False),
        ("manage", "POST", "/v1/sandboxes", {}, True),
        ("manage", "POST", "/code", body_of("1"), False),
        ("manage", "POST", "/opensandbox/v1/sandboxes", {}, True),
        ("run", "DELETE", "/opensandbox/v1/sandboxes/sb_1", None, False),
    ],
)
def test_what_a_key_is_for(
    street: Street, scope: str, method: str, path: str, body: dict[str, object] | None, allowed: bool
) -> None:
    tenant = Tenant(street.service, keys(street.service, "create", "--tenant", f"only-{scope}", "--scope", scope))
    with tenant.client() as client:
        answer = client.request(method, path, json=body)
        assert (answer.status_code != 403) is allowed, answer.text
        if not allowed:
            assert "scope" in answer.text
            assert re.search(r'"code": ?"[Ff]', answer.text) or "FORBIDDEN" in answer.text


def test_a_port_behind_a_key_that_may_not_run_code(street: Street) -> None:
    tenant = Tenant(street.service, keys(street.service, "create", "--tenant", "only-read", "--scope", "read"))
    with tenant.client() as client:
        assert client.get("/proxy/80/x").status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{street.service.authority}/proxy/80/x", additional_headers={"X-API-Key": tenant.key})
    assert refused.value.response.status_code == 403


def test_quotas(street: Street) -> None:
    limits = [f"--limit={name}=1" for name in ("executions", "sandboxes", "contexts")]
    tenant = Tenant(street.service, keys(street.service, "create", "--tenant", "bounded", *limits))
    with tenant.client() as client:
        assert client.post("/v1/sandboxes", json={}).status_code == 201
        refused = client.post("/v1/sandboxes", json={})
        assert (refused.status_code, refused.json()["code"]) == (429, "QUOTA_EXCEEDED")
        assert refused.headers["retry-after"] == "1"
        assert "quota of sandboxes is 1, and 1 are used" in refused.json()["error"]
        with running(client, "print('begun', flush=True); import time; time.sleep(1000)") as stream:
            stream.until(is_a("stdout"))
            over = client.post("/code", json=body_of("1"))
            assert (over.status_code, over.json()["code"]) == (429, "LIMIT_REACHED")
            assert "quota of executions is 1, and 1 are used" in over.json()["message"]
            assert client.post("/code/context", json={"language": "python"}).status_code == 429
            client.delete("/code", params={"id": stream.seen[0]["text"]})
        assert end_of(run(client, "1")) == SUCCEEDED
