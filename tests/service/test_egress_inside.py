"""The proxy in a network namespace: the only way out of it, for the programs that people use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import anyio
import pytest

from execd.service.egress import Egress, egress_environment, listen
from execd.service.egress_policy import Address, Policy
from tests.namespaces import NetworkNamespace, can_unshare, network_namespace
from tests.wheels import package_index

pytestmark = pytest.mark.skipif(not can_unshare(), reason="this machine lets us make no namespaces")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[int]:
    """The port of an index of packages on this machine's loopback interface."""
    with package_index(tmp_path, "127.0.0.1") as port:
        yield port


async def here(name: str) -> list[Address]:
    """The name's address: this machine's."""
    return [ip_address("127.0.0.1")]


@asynccontextmanager
async def inside(*rules: str) -> AsyncIterator[NetworkNamespace]:
    """A namespace whose only way out is the proxy with these rules."""
    with network_namespace() as namespace:
        listening = namespace.socket()
        listen(listening)
        async with anyio.create_task_group() as group:
            group.start_soon(Egress(Policy.parse(rules, 1), here).serve, listening)
            yield namespace
            group.cancel_scope.cancel()


async def run(namespace: NetworkNamespace, *argv: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program in there with the proxy's variables."""
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **egress_environment(), **env}
    return await anyio.run_process(namespace.command(*argv), check=False, env=variables, stderr=subprocess.STDOUT)


def test_the_variables() -> None:
    variables = egress_environment()
    assert variables["https_proxy"] == variables["HTTPS_PROXY"] == variables["ALL_PROXY"] == "http://127.0.0.1:3128"
    assert "127.0.0.1" in variables["no_proxy"].split(",")


async def test_pip_installs_through_it(index: int, tmp_path: Path) -> None:
    async with inside(f"packages.example:{index}", f"127.0.0.1:{index}") as namespace:
        options = {"PIP_INDEX_URL": f"http://packages.example:{index}/simple", "PIP_TRUSTED_HOST": "packages.example"}
        command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--target", str(tmp_path / "to")]
        done = await run(namespace, *command, "teapot", PIP_CONFIG_FILE=os.devnull, **options)
        assert done.returncode == 0, done.stdout.decode()
        assert (tmp_path / "to" / "teapot.py").exists()


FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read())"


async def test_a_program_shows_why_it_was_refused(index: int) -> None:
    async with inside(f"packages.example:{index}") as namespace:
        done = await run(namespace, sys.executable, "-c", FETCH, "https://evil.example/")
        assert b"403 evil.example:443 is not among the hosts that EXECD_EGRESS_ALLOW" in done.stdout
        done = await run(namespace, sys.executable, "-c", FETCH, f"http://packages.example:{index}/")
        assert b"leads to 127.0.0.1, which is not public but loopback" in done.stdout


DIRECT = """
import socket, sys
for address in (("127.0.0.1", int(sys.argv[1])), ("93.184.215.14", 443), ("10.0.0.1", 80), ("2600::1", 443)):
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as s:
        print(s.connect_ex(address) == 0)
"""


async def test_there_is_no_other_way(index: int) -> None:
    async with inside(f"packages.example:{index}", f"127.0.0.1:{index}") as namespace:
        done = await run(namespace, sys.executable, "-c", DIRECT, str(index))
        assert done.stdout.decode().split() == ["False"] * 4, done.stdout
