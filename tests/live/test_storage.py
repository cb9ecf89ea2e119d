"""A service whose database cannot be used, from the start on or all of a sudden."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from execd.isolation.stage import mount
from execd.store.engine import FILE
from tests.isolation.eventually import eventually
from tests.live.reading import SUCCEEDED, body_of, end_of, fetch, is_a, run, running, text_of
from tests.live.test_starting import assert_one_line, serve
from tests.running_service import running_service


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder whose data folder is a disk of 24 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a disk")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    mount("tests", str(data), "tmpfs", "mode=0700,size=24m")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(data)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on this disk; the file that takes it."""
    filler = folder / "filler"
    with filler.open("wb", 0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler


def ids(client: httpx.Client) -> list[str]:
    """The executions that there are records of."""
    return [record["id"] for record in client.get("/code/executions").json()]


def test_a_disk_that_is_full_takes_no_new_work_and_loses_nothing(small_disk: Path) -> None:
    with running_service(small_disk) as service, service.client() as client:
        first = run(client, "print('before')")
        with running(client, "input(); print('while it was full')", allow_stdin=True) as stream:
            stream.until(is_a("input_request"))
            filler = fill(service.data_dir)
            for method, path, body in (
                ("POST", "/code", body_of("1")),
                ("POST", "/command", {"command": "true"}),
                ("POST", "/v1/sandboxes", {}),
            ):
                refused = client.request(method, path, json=body)
                assert refused.status_code == 507, (path, refused.text)
            assert "free some disk space" in client.post("/code", json=body_of("1")).json()["message"]
            client.post(f"/code/executions/{stream.execution_id}/input", json={"value": ""}).raise_for_status()
            events = stream.rest()
            assert text_of(events) == "while it was full\n"
            assert end_of([event for event in events if event["type"] != "ping"]) == SUCCEEDED
            assert len(fetch(client, first[0]["execution_id"])) == len(first)
        filler.unlink()
        assert end_of(run(client, "print('after')")) == SUCCEEDED
        eventually(lambda: len(ids(client)) == 3)
        known = ids(client)
    with running_service(small_disk) as service, service.client() as client:
        assert ids(client) == known
        assert {record["status"] for record in client.get("/code/executions").json()} == {"succeeded"}
        assert fetch(client, stream.execution_id)[-1]["type"] == "execution_complete"


def test_a_database_that_is_damaged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / FILE).write_bytes(b"once upon a time there was a database. " * 1000)
    before = (data / FILE).read_bytes()
    assert_one_line(serve(data, "--port", "0"), "its file is damaged", "move it away")
    assert (data / FILE).read_bytes() == before


def test_a_database_that_another_program_holds(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    holder = sqlite3.connect(data / FILE, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert_one_line(serve(data, "--port", "0"), "another program holds it")
    holder.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://127.0.0.1:1/execd", "see that the server runs"),
        ("mysql://127.0.0.1/execd", "no database that execd knows"),
    ],
)
def test_a_server_that_is_not_there(tmp_path: Path, url: str, said: str) -> None:
    assert_one_line(serve(tmp_path / "data", "--port", "0", "--database-url", url), said)


def test_a_second_service_harms_nothing_of_the_first_one_s(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        run(client, "kept = 1")
        assert_one_line(serve(service.data_dir, "--port", "0"), "another execd already uses")
        assert text_of(run(client, "print(kept)")) == "1\n"
        assert len(ids(client)) == 2


def test_a_disk_that_is_read_only(small_disk: Path) -> None:
    data = small_disk / "data"
    with running_service(small_disk) as service, service.client() as client:
        run(client, "print('before')")
        known = ids(client)
    subprocess.run(["mount", "-o", "remount,ro", str(data)], check=True)
    assert_one_line(serve(data, "--port", "0"), "Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", str(data)], check=True)
    with running_service(small_disk) as service, service.client() as client:
        assert ids(client) == known


def test_a_disk_that_becomes_read_only(small_disk: Path) -> None:
    # What is open for writing keeps a disk from becoming so; a database that says so stands for it.
    with running_service(small_disk) as service, service.client() as client:
        first = run(client, "print('before')")
        with sqlite3.connect(service.data_dir / FILE, isolation_level=None) as raw:
            raw.execute("CREATE TRIGGER refuse BEFORE INSERT ON executions BEGIN SELECT RAISE(ABORT, 'readonly'); END")
        raw.close()
        refused = client.post("/code", json=body_of("1"))
        assert refused.status_code == 507, refused.text
        assert fetch(client, first[0]["execution_id"])[-1]["status"] == "succeeded"


LOUD = """
for number in range(1000):
    print(f"{number:_>100000}", flush=True)
"""


def test_output_waits_for_a_store_that_is_slow_and_nobody_else_does(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        with running(client, LOUD) as stream:
            stream.until(is_a("stdout"))
            with closing(sqlite3.connect(service.data_dir / FILE, isolation_level=None, timeout=60)) as other:
                other.execute("BEGIN IMMEDIATE")
                for _ in range(20):
                    assert client.get("/ping", timeout=4).status_code == 200
                other.execute("ROLLBACK")
            events = stream.rest()
        # Compared here: 100 MB are not to be shown.
        whole = text_of(events) == "".join(f"{number:_>100000}\n" for number in range(1000))
        assert whole
        assert end_of([event for event in events if event["type"] != "ping"]) == SUCCEEDED
