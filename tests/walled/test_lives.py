"""Time, pauses and copies of sandboxes with walls."""

from __future__ import annotations

import httpx

from tests.inside import Inside, new_sandbox
from tests.live.waiting import eventually

TICKING = "while :; do echo >>ticks; sleep 0.01; done"


def test_a_paused_sandbox_stands_still_and_says_so(client: httpx.Client, sandbox: Inside) -> None:
    sandbox.run(TICKING, background=True)
    sandbox.out("until [ -s ticks ]; do sleep 0.01; done")
    assert client.post(f"{sandbox.url}/hibernate").status_code == 200
    for answer in (
        client.get(f"{sandbox.execd}/ping"),
        client.get(f"{sandbox.execd}/files/info", params={"path": "ticks"}),
        client.post(f"{sandbox.execd}/code", json={"code": "1"}),
        client.post(f"{sandbox.url}/exec", json={"command": "true"}),
        client.get(f"{sandbox.url}/metrics"),
    ):
        assert answer.status_code == 409, answer.text
    assert client.get(f"{sandbox.url}/proxy/8000/").status_code == 409
    assert client.get(sandbox.url).json()["status"] == "paused"
    assert client.post(f"{sandbox.url}/resume").status_code == 200
    assert sandbox.ok("n=$(wc -l <ticks); until [ $(wc -l <ticks) -gt $n ]; do sleep 0.01; done")


def test_code_goes_on_where_it_was_paused(client: httpx.Client, sandbox: Inside) -> None:
    code = "import time\nprint('on', flush=True)\nopen('on', 'w').close()\ntime.sleep(0.5)\nprint('still on')"
    body = {"code": code, "context": {"language": "python"}}
    with client.stream("POST", f"{sandbox.execd}/code", json=body) as stream:
        sandbox.out("until [ -e on ]; do sleep 0.01; done")
        client.post(f"{sandbox.url}/hibernate").raise_for_status()
        client.post(f"{sandbox.url}/resume").raise_for_status()
        assert "still on" in stream.read().decode()


def test_a_paused_sandbox_can_be_ended(client: httpx.Client, sandbox: Inside) -> None:
    sandbox.run(TICKING, background=True)
    client.post(f"{sandbox.url}/hibernate").raise_for_status()
    assert client.delete(sandbox.url).status_code == 200
    assert client.get(sandbox.url).status_code == 404


def test_a_fork_has_the_files_and_not_the_processes(client: httpx.Client, sandbox: Inside) -> None:
    sandbox.out("mkdir a; echo one >a/file; ln -s a/file link; chmod 700 a")
    sandbox.run("echo on >on; exec sleep 5418", background=True)
    sandbox.out("until [ -e on ]; do sleep 0.01; done")
    answer = client.post(f"{sandbox.url}/fork", headers={"Idempotency-Key": ""})
    fork = Inside(client, answer.raise_for_status().json()["id"])
    try:
        assert fork.out("cat link; stat -c '%a %U' a; cat on") == "one\n700 user\non"
        assert fork.run("pgrep -cf 'sleep 541[8]'")["stdout"] == "0\n"
        fork.out("echo two >a/file")
        assert sandbox.out("cat", "a/file") == "one"
        assert sandbox.run("pgrep -cf 'sleep 541[8]'")["stdout"] == "1\n"
    finally:
        client.delete(fork.url)


def test_a_sandbox_ends_with_its_time(client: httpx.Client) -> None:
    with new_sandbox(client, timeout_ms=1000) as sandbox:
        eventually(lambda: client.get(sandbox.url).status_code != 200)
    with new_sandbox(client, timeout_ms=1000, timeout_action="hibernate") as sandbox:
        eventually(lambda: client.get(sandbox.url).json()["status"] == "paused")
        client.post(f"{sandbox.url}/resume").raise_for_status()
        assert sandbox.out("echo alive") == "alive"
