"""A PostgreSQL server for tests, where it is installed: on a free port of 127.0.0.1, gone after the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import make_url

_STARTS_WITHIN_SECONDS = 60


def programs() -> Path | None:
    """The folder of the server's programs, None where they are not installed."""
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = newest_first[0] if newest_first else shutil.which("initdb")
    return None if found is None else Path(found).parent


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `url` is that of its own database."""

    url: str

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database, which is gone after the block."""
        name = f"t{uuid.uuid4().hex}"
        admin = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield make_url(self.url).set(database=name).render_as_string(hide_password=False)
        finally:
            with admin.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
            admin.dispose()


@contextmanager
def running() -> Iterator[Server | None]:
    """A server while the block runs, None where there is none to be had."""
    where = programs()
    if where is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="execd-pg-", dir="/tmp"))
    try:
        owner = _not_root(folder)
        identity: dict[str, object] = {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}
        data = folder / "data"
        _run([where / "initdb", "-D", data, "-U", "execd", "-A", "trust", "--no-sync", "-E", "UTF8"], identity)
        port = _free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off -c max_connections=200"
        log = folder / "log"
        with log.open("wb") as complaints:
            process = subprocess.Popen(
                [str(where / "postgres"), "-D", str(data), *options.split()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                cwd="/",
                **identity,  # type: ignore[call-overload]
            )
        try:
            ready = [where / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", str(_STARTS_WITHIN_SECONDS)]
            _wait_until(ready, process, log)
            yield Server(f"postgresql+psycopg://execd@127.0.0.1:{port}/postgres")
        finally:
            # SIGINT: ends what clients do, and then itself.
            process.send_signal(signal.SIGINT)
            process.wait(_STARTS_WITHIN_SECONDS)
    finally:
        shutil.rmtree(folder)


def _not_root(folder: Path) -> tuple[int, int] | None:
    # The server refuses to run as root.
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_uid, nobody.pw_gid


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _run(command: list[object], identity: dict[str, object]) -> None:
    subprocess.run(
        list(map(str, command)),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd="/",
        **identity,  # type: ignore[call-overload]
    )


def _wait_until(ready: list[object], process: subprocess.Popen[bytes], log: Path) -> None:
    while subprocess.run(list(map(str, ready)), check=False).returncode != 0:
        if process.poll() is not None:
            raise RuntimeError(f"PostgreSQL has not started: {log.read_text()[-2000:]}")
