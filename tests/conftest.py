"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import settings
from sqlalchemy import URL

from execd.store.engine import database_url
from execd.store.store import Store
from execd.warden.client import Enclosure
from tests import postgresql as postgresql_server
from tests.launching import enclosure_in, warden_folder
from tests.running_service import RunningService, running_service

# Tests assert what happens, never how long it takes: a machine may be busy.
settings.register_profile("execd", deadline=None)
settings.load_profile("execd")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service with the default settings for all tests of a process that need no other."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def walled_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service whose sandboxes have the walls that users get."""
    volumes = tmp_path_factory.mktemp("volumes")
    with running_service(tmp_path_factory.mktemp("walled"), isolation="bwrap", volume_root=str(volumes)) as running:
        yield running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_server.Server | None]:
    """A PostgreSQL server for the tests of a process, None where there is none."""
    with postgresql_server.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """A new, empty database of either kind."""
    if request.param == "sqlite":
        yield database_url(None, tmp_path)
        return
    server = request.getfixturevalue("postgresql")
    if server is None:
        pytest.skip("PostgreSQL is not installed")
    with server.database() as url:
        yield database_url(url, tmp_path)


@pytest.fixture
def store(database: URL) -> Iterator[Store]:
    """A store in a new database of either kind."""
    with Store.open(database, "node_1") as opened:
        yield opened


@pytest.fixture
def walled(walled_service: RunningService) -> Iterator[httpx.Client]:
    """An HTTP client for the shared service with walls."""
    with walled_service.client() as connected:
        yield connected


@pytest.fixture
def client(service: RunningService) -> Iterator[httpx.Client]:
    """An HTTP client for the shared service."""
    with service.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def wardens() -> Iterator[Path]:
    """The folder of a warden that serves all tests of a process."""
    with warden_folder() as folder:
        yield folder


@pytest.fixture
async def launcher(wardens: Path) -> AsyncIterator[Enclosure]:
    """Starts processes on the machine as it is; what still runs of them afterwards is killed."""
    async with enclosure_in(wardens) as enclosure:
        yield enclosure


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A new folder that other users reach, too, which they cannot where pytest makes its own."""
    with tempfile.TemporaryDirectory(prefix="execd-test-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def anyio_backend() -> str:
    """execd runs on asyncio."""
    return "asyncio"
