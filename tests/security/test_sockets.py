"""What a kernel has in the folder of its sockets is not what the service believes it to be: it looks, and connects to
what it has looked at."""

from __future__ import annotations

from pathlib import Path

from tests.live.reading import end_of, run, text_of
from tests.security.houses import House, Sandbox

# Replaces what this very kernel is reached by, and tampers with the file that tells where that is.
REPLACE = """
import glob, os
for folder in glob.glob({runtime!r} + "/k*"):
    for path in glob.glob(folder + "/s-*"):
        os.rename(path, path + ".moved")
        os.symlink({target!r}, path)
    with open(folder + "/connection.json", "w") as file:
        file.write('{{"transport": "tcp", "ip": "127.0.0.1", "shell_port": 1}}')
print("replaced")
"""

# Puts symlinks where a kernel that is being started is about to make its sockets.
AMBUSH = """
import os, threading
known, ready = set(os.listdir({runtime!r})), threading.Event()
def ambush():
    ready.set()
    while True:
        for name in set(os.listdir({runtime!r})) - known:
            for number in range(1, 6):
                try:
                    os.symlink({target!r}, f"{runtime}/{{name}}/s-{{number}}")
                except OSError:
                    pass
threading.Thread(target=ambush, daemon=True).start()
ready.wait()
"""


def runtime_of(sandbox: Sandbox) -> str:
    """The folder of its kernels' folders, as it sees it itself."""
    if sandbox.house.kind.mode == "bwrap":
        return "/run/execd"
    return str((sandbox.house.service.data_dir / "runtime").readlink() / sandbox.id)


def socket_of(sandbox: Sandbox) -> Path:
    """The shell socket of its only kernel, as the machine sees it."""
    [found] = (sandbox.house.service.data_dir / "runtime").resolve().glob(f"{sandbox.id}/k*/s-1")
    return found


def test_sockets_that_were_replaced_lead_nowhere_else(walled: House, sandbox: Sandbox) -> None:
    other = walled.new_sandbox()
    assert other.printed("mark = 'theirs'\nprint(mark)") == "theirs\n"
    replace = REPLACE.format(runtime=runtime_of(sandbox), target=str(socket_of(other)))
    assert sandbox.printed(f"mark = 'ours'\n{replace}") == "replaced\n"
    assert sandbox.printed("print(mark)") == "ours\n"
    assert other.printed("print(mark)") == "theirs\n"
    other.delete()


def test_a_kernel_is_not_mistaken_for_another_while_it_starts(walled: House, sandbox: Sandbox) -> None:
    other = walled.new_sandbox()
    assert other.printed("mark = 'theirs'\nprint(mark)") == "theirs\n"
    sandbox.printed(AMBUSH.format(runtime=runtime_of(sandbox), target=str(socket_of(other))))
    with sandbox.client() as client:
        for _ in range(3):
            made = client.post("/code/context", json={"language": "python"})
            if made.status_code != 200:
                assert "did not start" in made.json()["message"]
                continue
            events = run(client, "print('mark' in globals())", id=made.json()["id"])
            assert (text_of(events), end_of(events)[0]) == ("False\n", "succeeded")
    assert other.printed("print(mark)") == "theirs\n"
    other.delete()
