"""What a key opens, from when on, and that it is nobody else's to see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.proxying import Backend, running_backend
from tests.live.reading import SUCCEEDED, body_of, end_of, run
from tests.live.test_tenants import Tenant, keys
from tests.running_service import RunningService, running_service

TOKEN = "the operator's own token"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a token."""
    with running_service(tmp_path_factory.mktemp("guarded"), access_token=TOKEN) as service:
        yield service


@pytest.fixture(scope="module")
def tenant(guarded: RunningService) -> Tenant:
    """A tenant of it."""
    return Tenant(guarded, keys(guarded, "create", "--tenant", "somebody"))


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """A program behind a port."""
    with running_backend() as running:
        yield running


def test_no_tenant_is_told_the_operator_s_token(guarded: RunningService, tenant: Tenant) -> None:
    with tenant.client() as client:
        sandbox = client.post("/v1/sandboxes", json={}).json()["id"]
        for path in (f"/opensandbox/v1/sandboxes/{sandbox}/endpoints/80", "/v1/capabilities", "/code/contexts"):
            answer = client.get(path)
            assert TOKEN not in answer.text + str(answer.headers)
        endpoint = client.get(f"/opensandbox/v1/sandboxes/{sandbox}/endpoints/44772").json()
        assert endpoint["headers"] == {"X-EXECD-ACCESS-TOKEN": tenant.key}
    with guarded.client(headers={"X-API-Key": TOKEN}) as operator:
        sandbox = operator.post("/v1/sandboxes", json={}).json()["id"]
        endpoint = operator.get(f"/opensandbox/v1/sandboxes/{sandbox}/endpoints/44772").json()
        assert endpoint["headers"] == {"X-EXECD-ACCESS-TOKEN": TOKEN}


@pytest.mark.parametrize(
    "given",
    [
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer   {}"),
        ("X-API-Key", "{}"),
        ("X-EXECD-ACCESS-TOKEN", "{}"),
        ("OPEN-SANDBOX-API-KEY", "{}"),
    ],
)
def test_no_program_sees_a_key(tenant: Tenant, backend: Backend, given: tuple[str, str]) -> None:
    name, form = given
    for key in (tenant.key, TOKEN):
        with tenant.service.client(headers={name: form.format(key)}) as client:
            answer = client.get(f"/proxy/{backend.http}/echo")
        assert answer.status_code == 200
        assert key not in json.dumps(answer.json())


def test_a_program_gets_what_is_its_own(tenant: Tenant, backend: Backend) -> None:
    theirs = {"X-API-Key": "the program's", "Authorization": "Bearer the program's"}
    with tenant.service.client(headers={**theirs, "X-EXECD-ACCESS-TOKEN": tenant.key}) as client:
        seen = json.dumps(client.get(f"/proxy/{backend.http}/echo").json())
    assert seen.count("the program's") == 2


def test_wrong_keys_are_counted_by_connection_whatever_a_header_says(tmp_path: Path) -> None:
    with running_service(tmp_path, access_token=TOKEN) as service, service.client() as client:
        told = [
            client.get("/code/contexts", headers={"X-API-Key": "guess", "X-Forwarded-For": f"192.0.2.{number}"})
            for number in range(4)
        ]
        assert [answer.status_code for answer in told] == [401, 401, 429, 429]
        assert 1 <= int(told[3].headers["retry-after"]) <= 60
        assert client.get("/code/contexts").status_code == 401
        assert client.get("/code/contexts", headers={"X-API-Key": TOKEN}).status_code == 200


def test_a_proxy_on_this_machine_says_by_what_scheme_it_was_asked(tenant: Tenant) -> None:
    with tenant.client() as client:
        sandbox = client.post("/v1/sandboxes", json={}).json()["id"]
        told = client.post(f"/v1/sandboxes/{sandbox}/host", json={"port": 80}, headers={"X-Forwarded-Proto": "https"})
    assert told.json()["url"].startswith("https://")


def test_the_first_key_is_its_tenant_s_at_once(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as anybody:
        # It is known now that there is none.
        assert anybody.get("/code/contexts").status_code == 200
        first = Tenant(service, keys(service, "create", "--tenant", "first"))
        with first.client() as client:
            assert end_of(run(client, "1")) == SUCCEEDED
            assert len(client.get("/v1/executions").json()["items"]) == 1
        seen = anybody.get("/v1/executions")
        assert seen.status_code == 401 or seen.json()["items"] == []


def test_the_same_idempotency_key_is_another_for_another_tenant(tenant: Tenant) -> None:
    other = Tenant(tenant.service, keys(tenant.service, "create", "--tenant", "other"))
    made = []
    for who in (tenant, other, tenant):
        with who.client() as client:
            made.append(client.post("/v1/sandboxes", json={}, headers={"Idempotency-Key": "the same"}).json()["id"])
    assert made[0] == made[2] != made[1]


def test_ids_in_bodies_and_queries_are_one_s_own(tenant: Tenant) -> None:
    other = Tenant(tenant.service, keys(tenant.service, "create", "--tenant", "other"))
    with tenant.client() as client:
        context = client.post("/code/context", json={"language": "python"}).json()["id"]
        run_id = run(client, "1", id=context)[0]["execution_id"]
    with other.client() as client:
        answers: list[httpx.Response] = [
            client.post("/code", json=body_of("1", id=context)),
            client.delete("/code", params={"id": context}),
            client.delete("/command", params={"id": run_id}),
        ]
        assert client.get("/v1/executions", params={"sandbox": "default"}).json()["items"] == []
        assert client.get("/code/executions", params={"context_id": context}).json() == []
    for answer in answers:
        assert answer.status_code in (404, 500), answer.text
        assert "not found" in answer.text


def test_what_is_about_the_whole_service_is_the_operator_s(tenant: Tenant) -> None:
    with tenant.client() as client:
        assert client.get("/metrics/prometheus").status_code == 404
    with tenant.service.client(headers={"X-API-Key": TOKEN}) as operator:
        assert "execd_requests_total" in operator.get("/metrics/prometheus").text


def test_another_s_port_is_not_there(tenant: Tenant, backend: Backend) -> None:
    other = Tenant(tenant.service, keys(tenant.service, "create", "--tenant", "other"))
    with tenant.client() as client, other.client() as theirs:
        sandbox = client.post("/v1/sandboxes", json={}).json()["id"]
        for base in ("/v1/sandboxes/", "/v1/machines/mch_"):
            path = f"{base}{sandbox.removeprefix('sb_') if 'machines' in base else sandbox}/proxy/{backend.http}/echo"
            assert client.get(path).status_code == 200
            for method in ("GET", "POST", "DELETE"):
                assert theirs.request(method, path).status_code == 404


def test_a_sandbox_default_that_nobody_has_used_yet_is_there_for_each(tenant: Tenant) -> None:
    new = Tenant(tenant.service, keys(tenant.service, "create", "--tenant", "new"))
    with new.client() as client:
        for path in ("code/runs", "code/artifacts"):
            answer = client.get(f"/v1/sandboxes/default/{path}")
            assert answer.status_code == 200, answer.text


def test_a_run_only_key_changes_nothing_about_a_sandbox(tenant: Tenant) -> None:
    runner = Tenant(tenant.service, keys(tenant.service, "create", "--tenant", "somebody", "--scope", "run"))
    with tenant.client() as client, runner.client() as theirs:
        sandbox = client.post("/v1/sandboxes", json={}).json()["id"]
        assert theirs.patch(f"/v1/sandboxes/{sandbox}/egress", json={"egress": {}}).status_code == 403
        assert theirs.patch(f"/v1/sandboxes/{sandbox}/proxy/18080/policy", json=[]).status_code == 403
