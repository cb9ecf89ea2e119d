"""Baponi's SDK in its two variants, and its adapters: programs, streams, handles, files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from standardwebhooks import Webhook

from tests.clients.dialogue import Dialogue, dialogue
from tests.clients.environments import python_environment
from tests.live.waiting import eventually
from tests.running_service import RunningService
from tests.webhook_receiver import certified, receiving, telling

CALLS = Path(__file__).parent / "baponi_calls.py"
# Prints, and goes on until somebody ends it.
ENDLESS = "print('begun')\nimport time\nwhile True: time.sleep(0.1)"


class Sdk:
    """The SDK in one of its variants."""

    def __init__(self, talk: Dialogue) -> None:
        self._talk = talk

    def call(self, what: str, *arguments: Any, **keywords: Any) -> Any:
        """What a call returns, or the error that it raises."""
        return self._talk.ask(what, arguments, keywords)


@pytest.fixture(scope="module", params=["sync", "async"])
def sdk(
    request: pytest.FixtureRequest, service: RunningService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sdk]:
    """Each variant in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    python = python_environment("clients-baponi") / "python"
    with dialogue(folder, str(python), str(CALLS), request.param, service.url) as talk:
        yield Sdk(talk)


@pytest.fixture
def thread() -> str:
    """A thread of the test's own."""
    return uuid.uuid4().hex


def test_programs(sdk: Sdk, thread: str) -> None:
    made = sdk.call("execute", "open('/home/baponi/a', 'w').write('kept'); print(6 * 7)", thread_id=thread)
    assert made == {"success": True, "stdout": "42\n", "stderr": "", "exit_code": 0, "error": None}
    kept = sdk.call("execute", "cat /home/baponi/a; exit 3", language="bash", thread_id=thread)
    assert (kept["success"], kept["stdout"], kept["exit_code"]) == (False, "kept", 3)
    late = sdk.call("execute", "print('so far'); import time; time.sleep(60)", timeout=1)
    assert (late["stdout"], late["error"]) == ("so far\n", "timeout")
    own = sdk.call(
        "execute",
        "import os; print(os.environ['TEA'])",
        env_vars={"TEA": "green"},
        metadata={"a": "b"},
        sub_paths=["/data/x/"],
    )
    assert own["stdout"] == "green\n"


def test_streams(sdk: Sdk) -> None:
    code = "import sys\nprint('one\\ntwo\\u2028')\nprint('three', file=sys.stderr)"
    found = sdk.call("stream", code)
    events = found["events"]
    assert [event["type"] for event in events] == ["status", "output", "output", "output", "result"]
    assert {event["data"] for event in events[1:4]} == {"one\n", "two\u2028\n", "three\n"}
    assert found["final"] == {
        "success": True,
        "stdout": "one\ntwo\u2028\n",
        "stderr": "three\n",
        "exit_code": 0,
        "error": None,
    }
    assert (found["last_seq"], found["trace_id"]) == (5, events[0]["trace_id"])


def test_a_stream_that_broke_is_taken_up_again(sdk: Sdk) -> None:
    broken = sdk.call("stream", "import time\nfor number in range(5): print(number); time.sleep(0.2)", take=3)
    assert [event.get("data") for event in broken["events"]] == [None, "0\n", "1\n"]
    trace_id = broken["trace_id"]
    rest = sdk.call("reconnect", trace_id, broken["last_seq"])
    assert [event["data"] for event in rest["events"] if event["type"] == "output"] == ["2\n", "3\n", "4\n"]
    assert rest["events"][0]["seq"] == broken["last_seq"] + 1
    assert sdk.call("until_done", trace_id)["stdout"] == "0\n1\n2\n3\n4\n"


def test_a_stream_is_cancelled(sdk: Sdk, thread: str) -> None:
    found = sdk.call("stream", ENDLESS, cancel=True, thread_id=thread)
    assert found["events"][-1]["status"] == "cancelled"
    assert (found["final"]["stdout"], found["final"]["error"]) == ("begun\n", "Cancelled by user")
    # The thread is free when that is known.
    assert sdk.call("execute", "print(1)", thread_id=thread)["stdout"] == "1\n"
    refused = sdk.call("cancel_execution", found["trace_id"])
    assert (refused["error"], refused["status"]) == ("ThreadBusyError", 409)


def test_handles(sdk: Sdk) -> None:
    trace_id = sdk.call("webhook", "print(1)", webhook_url="https://hooks.invalid/hook")
    done = sdk.call("handle", trace_id, "wait", poll_interval=0.05, timeout=60)
    assert (done["status"], done["stdout"], done["exit_code"], done["delivery_mode"]) == (
        "success",
        "1\n",
        0,
        "webhook",
    )
    assert (done["webhook_url"], done["webhook_delivery_status"]) == ("https://hooks.invalid/hook", "pending")
    assert sdk.call("get_execution", trace_id) == done


@pytest.mark.parametrize("variant", ["sync", "async"])
def test_the_result_of_a_handle_is_delivered(variant: str, tmp_path: Path) -> None:
    authority, trusted = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    python = python_environment("clients-baponi") / "python"
    with (
        receiving(503, 200, tls=certified(authority, "localhost"), host="localhost") as receiver,
        telling(tmp_path, receiver, webhook_allow_http=False, variables={"SSL_CERT_FILE": str(trusted)}) as service,
        dialogue(tmp_path, str(python), str(CALLS), variant, service.url) as talk,
        service.client() as client,
    ):
        sdk = Sdk(talk)
        trace_id = sdk.call("webhook", "print('delivered')", webhook_url=receiver.url)
        done = sdk.call("handle", trace_id, "wait", poll_interval=0.05, timeout=60)
        assert (done["status"], done["stdout"], done["webhook_url"]) == ("success", "delivered\n", receiver.url)
        *_, last = receiver.received(2)
        secret = client.get("/v1/webhooks/secret").json()["secret"]
        sent = Webhook(secret).verify(last.body, dict(last.headers))
        eventually(lambda: sdk.call("get_execution", trace_id)["webhook_delivery_status"] == "delivered")
        record = sdk.call("get_execution", trace_id)
        assert (sent["type"], {**sent["data"], "webhook_delivery_status": "delivered"}) == (
            "execution.succeeded",
            record,
        )


def test_a_handle_is_cancelled(sdk: Sdk) -> None:
    trace_id = sdk.call("webhook", ENDLESS)
    assert sdk.call("handle", trace_id, "poll")["status"] == "running"
    assert sdk.call("handle", trace_id, "cancel") == {"trace_id": trace_id, "status": "cancelling"}
    done = sdk.call("handle", trace_id, "wait", poll_interval=0.05, timeout=60)
    assert (done["status"], done["error"]) == ("cancelled", "Cancelled by user")


def test_errors(sdk: Sdk, thread: str) -> None:
    busy = sdk.call("webhook", ENDLESS, thread_id=thread)
    for how in ("execute", "stream", "webhook"):
        refused = sdk.call(how, "1", thread_id=thread)
        assert refused == {"error": "ThreadBusyError", "status": 409, "message": f"thread_busy: {thread}"}
    sdk.call("handle", busy, "cancel")
    unknown = sdk.call("get_execution", "trc_unknown")
    assert (unknown["error"], unknown["status"]) == ("BaponiError", 404)
    invalid = sdk.call("list_files", id="a/b")
    assert (invalid["error"], invalid["status"]) == ("APIValidationError", 400)


def test_files(sdk: Sdk, thread: str) -> None:
    assert sdk.call("put", "tea", path="deep/a.txt", id=thread, content_type="text/plain") == 200
    code = "print(open('/home/baponi/deep/a.txt').read()); open('/home/baponi/deep/b.txt', 'w').write('made')"
    assert sdk.call("execute", code, thread_id=thread)["stdout"] == "tea\n"
    assert sdk.call("get", path="deep/b.txt", id=thread) == "made"
    listed = sdk.call("list_files", id=thread, path="deep")
    assert {entry["path"]: entry["size"] for entry in listed} == {"deep/a.txt": 3, "deep/b.txt": 4}
    assert [entry["path"] for entry in sdk.call("list_files", id=thread)] == ["deep"]
    missing = sdk.call("get", path="nothing", id=thread)
    assert missing["status"] == 404


@pytest.mark.parametrize("adapter", ["anthropic", "langchain", "google"])
def test_adapters(sdk: Sdk, adapter: str) -> None:
    assert sdk.call("adapter", adapter, {"code": "print(6 * 7)"}) == "42\n"
    failed = sdk.call("adapter", adapter, {"code": "echo no >&2; exit 3", "language": "bash"})
    assert failed == "[stderr]\nno\n\n\n[exit code: 3]"


def test_deep_agents(sdk: Sdk) -> None:
    def call(what: str, *arguments: Any) -> Any:
        return sdk.call("deepagents", what, *arguments)

    call("execute", "rm -rf notes")
    written = call("write", "/home/baponi/notes/tea.txt", "green\nblack\n")
    assert written["error"] is None
    assert call("execute", "cat notes/tea.txt")["output"] == "green\nblack\n"
    assert call("edit", "/home/baponi/notes/tea.txt", "black", "white")["error"] is None
    assert "white" in str(call("read", "/home/baponi/notes/tea.txt"))
    assert "/home/baponi/notes/tea.txt" in str(call("grep", "white", "/home/baponi"))
    assert "tea.txt" in str(call("ls", "/home/baponi/notes"))
    assert "tea.txt" in str(call("glob", "**/*.txt", "/home/baponi"))
    [fetched] = call("download_files", ["/home/baponi/notes/tea.txt"])
    assert fetched["content"] == "green\nwhite\n"
