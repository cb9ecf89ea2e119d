"""What is there again after a restart: sandboxes, contexts with their variables, files, commands that run."""

from __future__ import annotations

from signal import SIGINT, SIGKILL, SIGTERM, Signals

from tests.isolation.eventually import eventually
from tests.survival.lives import Lives

GATE = "until [ -e gate ]; do sleep 0.05; done; "


def test_everything_is_there_again(everywhere: Lives, signum: Signals) -> None:
    lives = everywhere
    own, default = lives.sandbox(metadata={"mark": "own"}), lives.default
    before = own.shown()
    context, session = own.context(), own.client.post("/session", json={}).json()["session_id"]
    assert own.printed("kept = 'in a context'; open('file', 'w').write('there'); print(1)", id=context) == "1\n"
    own.printed("kept='in bash'; f() { echo $kept $1; }", language="bash")
    own.client.post(f"/session/{session}/run", json={"command": "cd /tmp; here=session"}).raise_for_status()
    default.printed("kept = 'in default'")
    command = own.command(
        "for n in 1 2 3; do echo line $n; done; until [ -e gate ]; do sleep 0.05; done; echo on; exit 4"
    )
    eventually(lambda: "line 3" in own.log(command))

    lives.again(signum)

    after = own.shown()
    for field in ("id", "status", "created_at", "expires_at", "metadata"):
        assert after[field] == before[field], field
    contexts = {shown["id"]: shown for shown in own.client.get("/code/contexts").json()}
    assert (contexts[context]["state"], contexts[context]["generation"]) == ("idle", 1)
    assert own.printed("print(kept, open('file').read())", id=context) == "in a context there\n"
    assert own.printed("f again", language="bash") == "in bash again\n"
    ran = own.client.post(f"/session/{session}/run", json={"command": "echo $here $PWD"})
    assert "session /tmp" in ran.text
    assert default.printed("print(kept)") == "in default\n"
    assert own.status(command)["running"]
    own.printed(":> gate", language="bash")
    eventually(lambda: not own.status(command)["running"])
    assert own.status(command)["exit_code"] == 4
    assert own.log(command) == "line 1\nline 2\nline 3\non\n"

    # And the next one has it from this one.
    lives.again(signum)
    assert own.printed("print(kept)", id=context) == "in a context\n"
    assert own.printed("f once more", language="bash") == "in bash once\n"


SERVER = """
import http.server, threading
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port)
"""


def test_a_server_in_a_sandbox_is_reached_again(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    port = own.printed(SERVER).strip()
    lives.again(signum)
    assert own.client.get(f"/proxy/{port}/").status_code == 200


def test_what_a_command_that_has_ended_left_running_goes_on(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    answer = own.client.post(
        "/command", json={"command": "(" + GATE + "echo late > told; cat /dev/zero | head -c 99999) &"}
    )
    assert '"execution_complete"' in answer.text
    lives.again(signum)
    # It is not ended by writing to where nobody would listen.
    own.printed("open('gate', 'w').close()")
    eventually(lambda: own.printed("import os; print(os.path.exists('told'))") == "True\n")


def test_sigint_ends_everything_and_the_next_one_begins_anew(lives: Lives) -> None:
    own = lives.sandbox()
    own.printed("1")
    assert lives.service.stop(SIGINT) == 0
    assert not (lives.folder / "data" / "sandboxes").exists()
    lives.begin()
    assert lives.client.get(f"/v1/sandboxes/{own.id}").status_code == 410
    assert lives.client.get("/v1/sandboxes").json() == []
    assert lives.default.printed("print(2)") == "2\n"


def test_what_was_lost_meanwhile_is_said_to_be(lives: Lives) -> None:
    lives.again(SIGTERM, warden_patience=0.2)
    own = lives.sandbox()
    lives.default.printed("kept = 1")
    lives.service.stop(SIGKILL)
    lock = lives.folder / "data" / "warden" / "warden.sock"
    eventually(lambda: not lock.exists())
    lives.begin()
    answer = lives.client.get(f"/v1/sandboxes/{own.id}")
    assert (answer.status_code, "lost" in answer.text) == (410, True)
    assert lives.default.printed("print('kept' in globals())") == "False\n"
    lives.again(SIGTERM)
    assert lives.client.get(f"/v1/sandboxes/{own.id}").status_code == 410
