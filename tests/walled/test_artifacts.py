"""Artifacts of code behind walls, which owns its workspace and may put anything there: whoever the service is, and
whatever the workspace is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.reading import of_type, run
from tests.running_service import RunningService
from tests.walled.sandbox import Walled, walled
from tests.walled.worlds import WORLDS, world_of


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """A service of each kind."""
    with world_of(request.param) as running:
        yield running


@pytest.fixture
def there(world: RunningService) -> Iterator[Walled]:
    """A sandbox in it."""
    with walled(world) as sandbox:
        yield sandbox


def made(sandbox: Walled, code: str) -> dict[str, bytes]:
    """The artifacts of a run, by their names, with their content."""
    events = run(sandbox.execd, code)
    assert of_type(events, "error") == []
    found: list[dict[str, Any]] = [event["artifact"] for event in of_type(events, "artifact")]
    artifacts = f"{sandbox.base}/code/artifacts"
    return {each["name"]: sandbox.client.get(f"{artifacts}/{each['id']}/download").content for each in found}


def test_files_that_code_writes(there: Walled) -> None:
    assert made(there, "import os\nos.mkdir('new')\nopen('new/a.txt', 'w').write('one')") == {"a.txt": b"one"}
    assert made(there, "open('new/a.txt', 'w').write('two')") == {"a.txt": b"two"}
    assert made(there, "open('new/a.txt').read()") == {}
    assert made(there, "import os\nos.chmod('new/a.txt', 0o600)") == {}


def test_what_cannot_be_read_by_anybody_else(there: Walled) -> None:
    code = "import os\nos.mkdir('mine', 0o700)\nos.close(os.open('mine/a', os.O_CREAT | os.O_WRONLY, 0o600))"
    assert made(there, code) == {"a": b""}


def test_traps(there: Walled) -> None:
    there.sh("mkdir real; echo real > real/file")
    traps = """
import os, socket
os.symlink("/etc/passwd", "passwd")
os.symlink("/", "root")
os.symlink("loop", "loop")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
os.rename("real", "away")
os.symlink("/etc", "real")
os.makedirs("deep/" * 50)
"""
    assert made(there, traps) == {"file": b"real\n"}


def test_folders_that_are_exchanged_while_they_are_looked_at(there: Walled) -> None:
    # Whatever is found, it is a file of the workspace.
    code = """
import os, threading
os.mkdir("a")
for n in range(300):
    open(f"a/passwd{n}", "w").write("mine")
def swap():
    os.symlink("/etc", "b")
    for _ in range(20000):
        os.rename("a", "c"); os.rename("b", "a"); os.rename("a", "b"); os.rename("c", "a")
threading.Thread(target=swap, daemon=True).start()
"""
    assert set(made(there, code).values()) <= {b"mine"}


def test_a_file_that_is_written_to_while_it_is_copied(there: Walled) -> None:
    code = """
import threading
def write():
    with open("growing", "wb", 0) as file:
        for _ in range(2000):
            file.write(bytes(4096))
threading.Thread(target=write, daemon=True).start()
"""
    events = run(there.execd, code)
    for event in of_type(events, "artifact"):
        found = event["artifact"]
        answer = there.client.get(f"{there.base}/code/artifacts/{found['id']}/download")
        assert (len(answer.content), answer.headers["etag"]) == (found["size_bytes"], f'"{found["sha256"]}"')
