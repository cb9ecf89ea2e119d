"""A workspace full of traps, and all that the service does with the files of a sandbox."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.uploading import upload
from tests.security.houses import SECRET, House, Sandbox

CANARY = "canary-of-the-machine"

TRAPS = """
import os, socket
for name, target in {links!r}.items():
    os.symlink(target, name)
os.mkfifo("fifo")
server = socket.socket(socket.AF_UNIX); server.bind("sock")
os.symlink("fifo", "to-fifo"); os.symlink("/dev/zero", "to-zero"); os.symlink("loop", "loop")
"""


@pytest.fixture
def public(walled: House) -> Path:
    """A folder of the machine's that everybody may read, and with a file that everybody may write."""
    folder = walled.folder / secrets.token_hex(4)
    folder.mkdir()
    for path, mode in ((folder / "canary", 0o666), (folder / "vars", 0o644)):
        path.write_text(f"LEAK={CANARY}\n")
        path.chmod(mode)
    folder.chmod(0o777)
    return folder


@pytest.fixture
def names(walled: House, sandbox: Sandbox, public: Path) -> list[str]:
    """The traps in the workspace."""
    data, pid = walled.service.data_dir, walled.service.process.pid
    links = {
        "file": str(public / "canary"),
        "folder": str(public),
        "shadow": "/etc/shadow",
        "environ": "/proc/self/environ",
        "service": f"/proc/{pid}/environ",
        "root": f"/proc/{pid}/root{public}/canary",
        "data": str(data / "envs"),
        "database": str(data / "execd.db"),
        "up": f"../../../../../../../..{public}/canary",
    }
    sandbox.printed(TRAPS.format(links=links))
    return [*links, "fifo", "sock", "to-fifo", "to-zero", "loop"]


def test_nothing_of_the_machine_is_read_or_changed(sandbox: Sandbox, names: list[str], public: Path) -> None:
    before = {path.name: (path.read_text(), path.stat().st_mode) for path in public.iterdir()}
    with sandbox.client() as client:
        answers = [answer for name in names for answer in _everything(client, sandbox, name)]
    assert answers
    for answer in answers:
        assert CANARY not in answer.text, answer.request.url
        assert SECRET not in answer.text, answer.request.url
        assert "root:" not in answer.text, answer.request.url
        assert answer.status_code != 500 or "UNKNOWN" not in answer.text, (answer.request.url, answer.text)
    assert {path.name: (path.read_text(), path.stat().st_mode) for path in public.iterdir()} == before


def _everything(client: httpx.Client, sandbox: Sandbox, name: str) -> Iterator[httpx.Response]:
    path = f"{sandbox.cwd}/{name}"
    for below in (path, f"{path}/canary"):
        yield client.get("/files/download", params={"path": below})
        yield client.get("/files/info", params={"path": below})
        yield client.get("/files/search", params={"path": below, "pattern": "**"})
        yield client.get("/directories/list", params={"path": below})
        yield client.post("/files/replace", json={below: {"old": "canary", "new": "changed"}})
        yield client.post("/files/permissions", json={below: {"mode": 700}})
        yield client.post("/directories", json={f"{below}/new": {"mode": 755}})
        yield upload(client, ({"path": f"{below}-new/new"}, b"changed"))
    one = f"/v1/sandboxes/{sandbox.id}"
    house = sandbox.house.client
    yield house.post(f"{one}/files/read", json={"path": name})
    yield house.post(f"{one}/files/find", json={"path": name, "pattern": "LEAK"})
    yield house.get(f"{one}/files", params={"path": name})
    yield house.get(f"{one}/file", params={"path": name})
    yield house.post(f"{one}/exec", json={"command": "pwd", "cwd": path})
    yield client.post("/command", json={"command": "cat canary", "cwd": path})
    yield client.post("/code/context", json={"language": "python", "cwd": f"{path}/x"})
    yield upload(client, ({"path": path}, b"changed"))
    yield client.request("DELETE", "/files", params={"path": f"{path}/canary"})


@pytest.mark.parametrize("how", ["ln -sf {vars}", "ln -sf /proc/self/environ", "mkfifo", "mkdir"])
def test_variables_come_from_no_other_file(sandbox: Sandbox, public: Path, how: str) -> None:
    words = how.format(vars=public / "vars")
    assert sandbox.said(f'rm -f "$EXECD_ENVS"; {words} "$EXECD_ENVS"') == ""
    assert sandbox.said('echo "${LEAK:-none} ${AWS_SECRET_ACCESS_KEY:-none}"') == "none none"
    assert sandbox.printed("import os; print(os.environ.get('LEAK'))") == "None\n"


def test_a_fork_copies_links_as_links(walled: House, sandbox: Sandbox, names: list[str]) -> None:
    answer = walled.client.post(f"/v1/sandboxes/{sandbox.id}/fork")
    assert answer.status_code in (200, 201), answer.text
    forked = Sandbox(walled, answer.json()["id"])
    assert "fifo" in names
    found = set(forked.said("find . ! -name . -type l -printf '%f\\n'; find . -type p").split())
    assert {"file", "folder", "environ"} <= found
    assert "./fifo" not in found
    forked.delete()


def test_its_proxy_does_not_lead_to_the_service(walled: House, sandbox: Sandbox) -> None:
    port = walled.service.authority.rpartition(":")[2]
    for base in (sandbox.base, ""):
        answer = walled.client.get(f"{base}/proxy/{port}/ping")
        assert answer.status_code in (400, 502), answer.text


def test_a_folder_too_deep_to_walk_hurts_nobody(walled: House) -> None:
    made = walled.new_sandbox()
    made.printed("import os\nfor _ in range(1500): os.mkdir('d'); os.chdir('d')")
    walled.client.post(f"/v1/sandboxes/{made.id}/fork")
    folder = made.workspace.parent
    made.delete()
    assert not folder.exists()
    assert walled.default.printed("print(1)") == "1\n"
