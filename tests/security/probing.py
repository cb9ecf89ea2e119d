"""The attempts of tests/isolation, as a program for code of a sandbox to run, and what a whole service is to them."""

from __future__ import annotations

import ctypes
import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from scripts import seccomp
from tests.isolation.attempts import Outside
from tests.isolation.outside import listening, shared_memory
from tests.security.houses import House, Sandbox, dumped

_ATTEMPTS = Path(__file__).parent.parent / "isolation" / "attempts.py"
_IMPORT = "from scripts import seccomp\n"
MARK = "outcomes: "


@contextmanager
def outside(house: House, other: Sandbox) -> Iterator[Outside]:
    """What there is outside of a sandbox of this house, another sandbox included."""
    other.command("echo theirs > secret; chmod 600 secret")
    pid = int(other.printed("import subprocess; print(subprocess.Popen(['sleep', '1000']).pid)"))
    with ExitStack() as stack:
        folder = house.folder / secrets.token_hex(4)
        folder.mkdir(mode=0o755)
        file = folder / "public"
        file.write_text("not for sandboxes")
        file.chmod(0o644)
        abstract = f"\0execd-test-{secrets.token_hex(8)}"
        shared = str(folder / "socket")
        for address in (abstract, shared):
            stack.enter_context(listening(socket.AF_UNIX, address))
        Path(shared).chmod(0o777)
        yield Outside(
            service=house.service.process.pid,
            file=str(file),
            socket=shared,
            private_socket=str(house.service.data_dir / "warden" / "warden.sock"),
            abstract=abstract,
            port=int(house.service.authority.rpartition(":")[2]),
            secret_at=_writable_memory(house.service.process.pid),
            secret_size=8,
            other=_outside_pid(house, pid),
            other_file=str(other.workspace / "secret"),
            shm=str(stack.enter_context(shared_memory())),
        )


def program(there: Outside, cwd: str) -> str:
    """Python that makes every attempt and prints what came of each."""
    text = _ATTEMPTS.read_text()
    assert _IMPORT in text
    stub = f"import types; seccomp = types.SimpleNamespace(NUMBERS={seccomp.NUMBERS!r})\n"
    call = f"outcomes(Outside(**json.loads({dumped(asdict(there))})), {cwd!r})"
    return f"{text.replace(_IMPORT, stub)}\nimport json\nprint({MARK!r} + json.dumps({call}))\n"


def found_in(output: str) -> dict[str, str]:
    """What such a program has printed."""
    found: dict[str, str] = json.loads(output.partition(MARK)[2].splitlines()[0])
    return found


def _outside_pid(house: House, inside: int) -> int:
    """The machine's number of the process that has this one inside, behind namespaces."""
    if house.kind.mode == "landlock":
        return inside
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (OSError, ValueError):
            continue
        numbers = lines["NSpid"].split()
        if lines["Name"].strip() == "sleep" and len(numbers) > 1 and numbers[-1] == str(inside):
            return int(numbers[0])
    raise AssertionError("there is no such process")


def _writable_memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, rights, *_ = line.split()
        if rights.startswith("rw"):
            return ctypes.c_long(int(addresses.split("-")[0], 16)).value
    raise AssertionError("it has no memory")
