"""User code reaches neither the warden nor a zygote, and kills nobody but what is its sandbox's."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.isolation.attempts import SUCCEEDED
from tests.live.reading import end_of, of_type
from tests.security.houses import House, Sandbox, arguments, everybody, started
from tests.security.probing import found_in, outside, program
from tests.security.test_probes import OPEN, UNCERTAIN

# What a client of the warden says: with a proof that it may, with one that proves nothing, and with none.
SPEAK = """
import array, os, socket
folder = {folder!r}
for flags in (os.O_RDONLY, os.O_PATH, None):
    try:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(5)
        s.connect(folder + "/warden.sock")
        proof = [] if flags is None else [os.open(folder + "/warden.lock", flags)]
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", proof))] if proof else []
        s.sendmsg([b'={{"op": "enter"}}'], ancillary)
        s.send(b'={{"id": 1, "op": "hello"}}')
        print("heard", s.recv(1000))
    except OSError as error:
        print("refused", error)
"""


def zygote(house: House) -> int:
    """The pid of the zygote that the kernels of the house come from, which have its command line, too."""
    found = [pid for pid in _children(house.warden) if any(word.endswith("/zygote.py") for word in arguments(pid)[1:2])]
    return min(found, key=started)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_no_attempt_reaches_them(walled: House, sandbox: Sandbox) -> None:
    other = walled.new_sandbox()
    sandbox.printed("1")
    with outside(walled, other) as there:
        for pid in (walled.warden, zygote(walled)):
            found = found_in(sandbox.printed(program(replace(there, service=pid, other=pid), sandbox.cwd)))
            reached = {name for name, outcome in found.items() if outcome == SUCCEEDED}
            assert reached - UNCERTAIN == OPEN[walled.kind.mode], found
    other.delete()


def test_the_warden_does_not_listen_to_them(walled: House, sandbox: Sandbox) -> None:
    said = sandbox.printed(SPEAK.format(folder=str(walled.service.data_dir / "warden")))
    assert [line for line in said.splitlines() if line.startswith("heard") and line != "heard b''"] == []
    assert len(said.splitlines()) == 3


def test_no_socket_of_theirs_is_inherited(walled: House, sandbox: Sandbox) -> None:
    code = (
        "import os\nfor fd in range(200):\n    try: open('mine', 'a').write(os.readlink(f'/proc/self/fd/{fd}') + ' ')\n"
    )
    code += "    except OSError: continue"
    sandbox.printed(code)
    ours = {each for each in (sandbox.workspace / "mine").read_text().split() if each.startswith("socket:")}
    theirs = {each for pid in (walled.service.process.pid, walled.warden, zygote(walled)) for each in _descriptors(pid)}
    assert ours
    assert not ours & theirs


def _descriptors(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(str(entry.readlink()))
    return found


@pytest.mark.parametrize("line", ["kill -9 1; kill -STOP 1; kill -SEGV 1", "kill -9 $PPID", "kill -9 -- -1 0"])
def test_signals_for_others_do_not_arrive(walled: House, sandbox: Sandbox, line: str) -> None:
    before = walled.warden
    sandbox.command(f"bash -c '{line}'")
    assert sandbox.said("echo still here") == "still here"
    assert walled.warden == before


def test_a_kill_of_everybody_is_one_of_the_sandbox(walled: House, sandbox: Sandbox) -> None:
    other = walled.new_sandbox()
    other.printed("kept = 1")
    sandbox.printed("lost = 1")
    pids = walled.service.process.pid, walled.warden, zygote(walled)
    sandbox.command("kill -9 -1; true")
    events = sandbox.run("print('lost' in globals())")
    if end_of(events) == ("failed", "kernel_died"):
        # It was sent to the kernel before its end was known.
        events = sandbox.run("1")
    if walled.kind.mode == "bwrap":
        [restarted] = of_type(events, "context_restarted")
        assert "SIGKILL" in restarted["why"]
    assert end_of(events) == ("succeeded", None)
    assert other.printed("print(kept)") == "1\n"
    assert pids == (walled.service.process.pid, walled.warden, zygote(walled))
    assert set(pids) <= set(everybody())
    other.delete()


def test_a_kernel_that_kills_everybody_else_lives_on(walled: House, sandbox: Sandbox) -> None:
    code = "import os, signal\ntry:\n    os.kill(-1, signal.SIGKILL)\nexcept OSError as error:\n    pass\nprint('on')"
    assert sandbox.printed(code) == "on\n"
    assert sandbox.said("echo on") == "on"
