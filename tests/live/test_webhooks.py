"""Webhooks over HTTP: told of every end, by receivers that fail, are slow, lie, are gone and come back."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from click.testing import CliRunner
from standardwebhooks import Webhook

from execd.cli import main
from tests.live.agent import Agent
from tests.live.agents import Agents
from tests.live.reading import run
from tests.live.waiting import eventually
from tests.running_service import RunningService, running_service
from tests.webhook_receiver import Received, Receiver, certified, receiving, telling


class Teller:
    """What a tenant does with webhooks."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def add(self, url: str, **more: Any) -> dict[str, Any]:
        """A new webhook."""
        answer = self.client.post("/v1/webhooks", json={"url": url, **more})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def secret(self) -> str:
        """That of the tenant."""
        return str(self.client.get("/v1/webhooks/secret").raise_for_status().json()["secret"])

    def deliveries(self, **query: Any) -> list[dict[str, Any]]:
        """What was sent or is to be."""
        found: list[dict[str, Any]] = (
            self.client.get("/v1/webhooks/deliveries", params=query).raise_for_status().json()["items"]
        )
        return found

    def ended(self, execution_id: str) -> dict[str, Any]:
        """The delivery about an execution, once it is none that waits."""
        states = (["delivered"], ["failed"])
        eventually(lambda: [found["state"] for found in self.deliveries(execution_id=execution_id)] in states)
        [found] = self.deliveries(execution_id=execution_id)
        return found

    def why(self, execution_id: str) -> str:
        """Why the delivery about an execution failed."""
        found = self.ended(execution_id)
        assert found["state"] == "failed"
        return str(found["last_error"])

    def command(self, line: str, url: str | None = None) -> str:
        """A background command; its id."""
        body = {"command": line, "background": True, "webhook_url": url}
        return str(self.client.post("/command", json=body).raise_for_status().headers["EXECD-EXECUTION-ID"])


def verified(received: Received, secret: str) -> dict[str, Any]:
    """What was sent, if it is signed with this."""
    found: dict[str, Any] = Webhook(secret).verify(received.body, dict(received.headers))
    return found


def test_a_receiver_that_fails_and_comes_back(tmp_path: Path) -> None:
    with receiving(500, 302, 503, 200) as receiver, telling(tmp_path, receiver) as service, service.client() as client:
        receiver.location = receiver.url.replace("/hook", "/elsewhere")
        teller = Teller(client)
        made = teller.add(receiver.url, description="tests")
        execution_id = teller.command("exit 3")
        requests = receiver.received(4)
        assert teller.ended(execution_id)["state"] == "delivered"
        assert {request.id for request in requests} == {teller.ended(execution_id)["id"]}
        assert {request.path for request in requests} == {"/hook"}
        assert len({request.body for request in requests}) == 1
        sent = verified(requests[-1], made["secret"])
        record = client.get("/v1/executions").json()["items"][0]
        assert (sent["type"], sent["data"]) == ("execution.failed", record)
        assert (record["id"], record["status"], record["exit_code"]) == (execution_id, "failed", 3)
        found = client.get(f"/v1/webhooks/{made['id']}/deliveries").json()["items"][0]
        assert (found["attempts"], found["last_status"], found["last_error"]) == (4, 200, None)
        assert "secret" not in client.get(f"/v1/webhooks/{made['id']}").json()


def test_the_record_that_each_api_shows_is_what_is_sent(tmp_path: Path) -> None:
    with receiving() as receiver, telling(tmp_path, receiver) as service, service.client() as client:
        url, secret = receiver.url, Teller(client).secret()
        [init, *_] = run(client, "print(1)", language="python")
        context = client.get("/code/contexts").json()[0]["id"]
        code = client.post("/code", json={"code": "6*7", "context": {"id": context}, "webhook_url": url})
        execd_id = code.headers["EXECD-EXECUTION-ID"]
        asked = {"code": "6*7", "context_id": context, "webhook_url": url}
        nullspace = client.post("/v1/sandboxes/default/code/runs", json=asked).json()
        agents = Agents(client)
        agent = agents.run(agents.make("print('told')"), webhook_url=url)
        body = {"code": "true", "context": {"language": "background-command"}, "webhook_url": url}
        command_id = client.post("/code", json=body).headers["EXECD-EXECUTION-ID"]
        told = {request.message["data"]["id"]: verified(request, secret) for request in receiver.received(4)}
        assert init["type"] == "init"

        def settled(record: dict[str, Any]) -> dict[str, Any]:
            return {**record, "webhook_delivery_status": "delivered"}

        paths = {
            execd_id: f"/code/executions/{execd_id}",
            command_id: f"/code/executions/{command_id}",
            nullspace["id"]: f"/v1/sandboxes/default/code/runs/{nullspace['id']}",
            agent["id"]: f"/api/v1/executions/{agent['id']}",
        }
        for execution_id, path in paths.items():

            def shown(path: str = path) -> dict[str, Any]:
                found: dict[str, Any] = client.get(path).json()
                return found.get("data", found) if "api/v1" in path else found

            eventually(lambda shown=shown: shown()["webhook_delivery_status"] == "delivered")  # type: ignore[misc]
            sent = told[execution_id]
            assert sent["type"] == "execution.succeeded"
            assert sent["data"]["webhook_delivery_status"] == "pending"
            sandbox = {"sandbox_id": "default"} if execution_id in (execd_id, command_id) else {}
            assert settled(sent["data"]) == {**shown(), **sandbox}
        assert told[nullspace["id"]]["data"]["execution"]["results"][0]["text"] == "42"


def test_a_run_that_waits_for_an_approval_is_told_as_it_waits(tmp_path: Path) -> None:
    with receiving() as receiver, telling(tmp_path, receiver) as service, service.client() as client:
        agents, teller = Agents(client), Teller(client)
        only = teller.add(receiver.url + "/only", events=["execution.awaiting_approval"])
        version = agents.make("print('done')", approval_required=True)
        waiting = agents.run(version, webhook_url=receiver.url)
        first = {request.path: request.message for request in receiver.received(2)}
        assert first["/hook"]["type"] == first["/hook/only"]["type"] == "execution.awaiting_approval"
        assert first["/hook"]["data"]["status"] == "awaiting_approval"
        assert first["/hook"]["data"]["approval_expires_at"] is not None
        assert agents.get(waiting)["webhook_delivery_status"] == "pending"
        agents.ok("POST", f"/executions/{waiting['id']}/approve", {})
        *_, last = receiver.received(3)
        assert (last.path, last.message["type"]) == ("/hook", "execution.succeeded")
        eventually(lambda: agents.get(waiting)["webhook_delivery_status"] == "delivered")
        denied = agents.run(version, webhook_url=receiver.url)
        receiver.received(5)
        agents.ok("POST", f"/executions/{denied['id']}/deny", {"reason": "no"})
        assert receiver.received(6)[-1].message["type"] == "execution.rejected"
        found = client.get(f"/v1/webhooks/{only['id']}/deliveries").json()["items"]
        assert [each["type"] for each in found] == ["execution.awaiting_approval"] * 2


def test_a_slow_receiver_holds_nobody_up_and_is_given_up(tmp_path: Path) -> None:
    with receiving() as slow, receiving() as quick:
        settings = {"webhook_timeout": 0.5, "webhook_give_up": 2}
        with telling(tmp_path, slow, quick, **settings) as service, service.client() as client:
            slow.open.clear()
            teller = Teller(client)
            stuck = [teller.command("true", slow.url) for _ in range(12)]
            slow.received(4)
            ids = [teller.command("true", quick.url) for _ in range(3)]
            quick.received(3)
            for execution_id in ids:
                assert teller.ended(execution_id)["state"] == "delivered"
            assert teller.why(stuck[0]) == "it did not answer within 0.5 seconds"
            record = client.get(f"/command/status/{stuck[0]}").json()
            assert (record["webhook_url"], record["webhook_delivery_status"]) == (slow.url, "failed")


def test_certificates(tmp_path: Path) -> None:
    known, unknown = trustme.CA(), trustme.CA()
    trusted = tmp_path / "ca.pem"
    known.cert_pem.write_to_path(str(trusted))
    with ExitStack() as stack:

        def server(ca: trustme.CA, name: str) -> Receiver:
            return stack.enter_context(receiving(tls=certified(ca, name), host="localhost"))

        right, wrong, own = server(known, "localhost"), server(known, "other.example"), server(unknown, "localhost")
        service = stack.enter_context(
            telling(
                tmp_path,
                right,
                wrong,
                own,
                webhook_allow_http=False,
                webhook_give_up=0,
                variables={"SSL_CERT_FILE": str(trusted)},
            )
        )
        agent = Agent(stack.enter_context(service.client()))
        teller = Teller(agent.client)
        good, *bad = [agent.start("print(1)", webhook_url=receiver.url) for receiver in (right, wrong, own)]
        assert teller.ended(good)["state"] == "delivered"
        record = agent.record(good)
        assert (record["webhook_url"], record["webhook_delivery_status"]) == (right.url, "delivered")
        assert right.received()[0].message["data"] == {**record, "webhook_delivery_status": "pending"}
        assert "its certificate does not do: " in teller.why(bad[0])
        assert "localhost" in teller.why(bad[0])
        assert "its certificate does not do: " in teller.why(bad[1])
        assert wrong._received == own._received == []
        assert agent.record(bad[0])["webhook_delivery_status"] == "failed"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "10.1.2.3"])
def test_a_private_address_is_refused_at_once(service: RunningService, host: str) -> None:
    with service.client() as client:
        answer = client.post("/command", json={"command": "true", "webhook_url": f"https://{host}/"})
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")
        assert "webhook_url" in answer.json()["message"]
        assert client.post("/v1/webhooks", json={"url": f"https://{host}/"}).status_code == 400
        assert client.post("/v1/webhooks", json={"url": "http://example.com/"}).status_code == 400


def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_looked_up(tmp_path: Path) -> None:
    with receiving(host="localhost") as receiver:
        settings = {"webhook_allow_private": [], "webhook_give_up": 0}
        with telling(tmp_path, **settings) as service, service.client() as client:
            teller = Teller(client)
            said = teller.why(teller.command("true", receiver.url))
        assert "is not public but loopback" in said
        assert "EXECD_WEBHOOK_ALLOW_PRIVATE" in said
        assert receiver._received == []


def test_a_killed_service_s_deliveries_are_the_next_one_s(tmp_path: Path) -> None:
    with receiving(503, 503, 200) as receiver:
        settings = {"webhook_retry": 3600, "on_sigterm": "keep"}
        with telling(tmp_path, receiver, **settings) as service, service.client() as client:
            teller = Teller(client)
            execution_id = teller.command("true", receiver.url)
            [first] = receiver.received()
            eventually(lambda: teller.deliveries()[0]["attempts"] == 1)
            endless = teller.command("echo begun; exec sleep 1000", receiver.url)
            eventually(lambda: client.get(f"/command/{endless}/logs").text == "begun\n")
            assert service.stop(signal.SIGKILL) == -signal.SIGKILL
        make_due(tmp_path)
        with telling(tmp_path, receiver, webhook_retry=0.05) as service, service.client() as client:
            teller = Teller(client)
            assert teller.ended(execution_id)["state"] == "delivered"
            assert {request.id for request in receiver.received(3)} == {first.id}
            # What that one has left running is adopted, and told of as everything is.
            client.delete("/command", params={"id": endless})
            last = receiver.received(4)[-1]
            assert (last.message["type"], last.message["data"]["id"]) == ("execution.cancelled", endless)


def make_due(folder: Path) -> None:
    """Let time have passed."""
    from execd.store.engine import database_url, open_engine
    from execd.store.tables import deliveries

    engine = open_engine(database_url(None, folder / "data"))
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(deliveries.update().where(deliveries.c.due_at.is_not(None)).values(due_at=0))
    engine.dispose()


def test_secrets_are_exchanged_without_a_gap(tmp_path: Path) -> None:
    with receiving() as receiver, telling(tmp_path, receiver) as service, service.client() as client:
        teller = Teller(client)
        made = teller.add(receiver.url + "/webhook")
        rotated = client.post(f"/v1/webhooks/{made['id']}/rotate").json()["secret"]
        old = teller.secret()
        new = client.post("/v1/webhooks/secret/rotate").json()["secret"]
        assert (old, made["secret"]) != (new, rotated)
        assert teller.secret() == new
        teller.command("true", receiver.url)
        requests = {request.path: request for request in receiver.received(2)}
        for path, secrets in (("/hook", (old, new)), ("/hook/webhook", (made["secret"], rotated))):
            for secret in secrets:
                verified(requests[path], secret)


def test_a_webhook_that_is_gone_is_told_nothing_more(tmp_path: Path) -> None:
    with receiving(410) as receiver, telling(tmp_path, receiver) as service, service.client() as client:
        teller = Teller(client)
        made = teller.add(receiver.url)
        assert teller.ended(teller.command("true"))["state"] == "failed"
        eventually(lambda: client.get(f"/v1/webhooks/{made['id']}").json()["disabled_at"] is not None)
        assert teller.deliveries(execution_id=teller.command("true")) == []
        receiver.answers = [200]
        assert client.post(f"/v1/webhooks/{made['id']}/test").json() == {
            "delivered": True,
            "status": 200,
            "error": None,
        }
        assert receiver.received(2)[-1].message["type"] == "webhook.test"
        assert client.delete(f"/v1/webhooks/{made['id']}").status_code == 204
        assert client.get(f"/v1/webhooks/{made['id']}").status_code == 404
        assert client.get("/v1/webhooks").json() == {"items": []}
        assert teller.deliveries() == []


def test_what_webhooks_cannot_be(service: RunningService) -> None:
    with service.client() as client:
        for body in ({"url": "https://h/", "events": ["execution.begun"]}, {"url": "ftp://h/"}, {}, {"url": ""}):
            assert client.post("/v1/webhooks", json=body).status_code == 400
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/rotate"),
            ("POST", "/test"),
            ("GET", "/deliveries"),
        ):
            assert client.request(method, f"/v1/webhooks/wh_unknown{path}").json()["code"] == "NOT_FOUND"
        assert client.get("/v1/webhooks/deliveries", params={"state": "lost"}).status_code == 400


def test_webhooks_are_their_tenant_s_and_for_keys_that_manage(tmp_path: Path) -> None:
    with receiving() as receiver, telling(tmp_path, receiver) as service:

        def key(tenant: str, *scopes: str) -> httpx.Client:
            arguments = [argument for scope in scopes for argument in ("--scope", scope)]
            made = ["keys", "create", "--tenant", tenant, "--data-dir", str(service.data_dir), *arguments]
            text = CliRunner().invoke(main, made).output.strip()
            return service.client(headers={"Authorization": f"Bearer {text}"})

        with key("one") as one, key("two") as two, key("one", "run", "read") as running:
            made = Teller(one).add(receiver.url)
            assert two.get(f"/v1/webhooks/{made['id']}").status_code == 404
            assert two.get("/v1/webhooks").json() == {"items": []}
            assert Teller(one).secret() != Teller(two).secret()
            for path in ("/v1/webhooks", "/v1/webhooks/secret", "/v1/webhooks/deliveries"):
                assert running.get(path).status_code == 403
            Teller(two).command("true")
            execution_id = Teller(running).command("true")
            [got] = receiver.received()
            assert verified(got, made["secret"])["data"]["id"] == execution_id
            assert got.message["data"]["sandbox_id"] == "default"
            assert [found["execution_id"] for found in Teller(one).deliveries()] == [execution_id]
            assert Teller(two).deliveries() == []


def test_there_are_not_too_many(tmp_path: Path) -> None:
    with running_service(tmp_path, max_webhooks=1) as service, service.client() as client:
        Teller(client).add("https://hooks.invalid/")
        answer = client.post("/v1/webhooks", json={"url": "https://hooks.invalid/"})
        assert (answer.status_code, answer.json()["code"]) == (429, "LIMIT_REACHED")
