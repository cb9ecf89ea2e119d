"""Volumes of sandboxes with walls: folders of the machine below one root, and nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.inside import Inside, new_sandbox
from tests.running_service import RunningService, running_service


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that volumes are in."""
    made = tmp_path_factory.mktemp("root")
    (made / "data").mkdir(mode=0o777)
    (made / "data").chmod(0o777)
    (made / "data" / "given").write_text("given\n")
    (made / "out").symlink_to("/etc")
    return made


@pytest.fixture(scope="module")
def with_volumes(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that has them, and a list of images."""
    folder = tmp_path_factory.mktemp("volumes")
    with running_service(folder, isolation="bwrap", volume_root=str(root), sandbox_images={"python:*": "data"}) as made:
        yield made


@pytest.fixture
def owner(with_volumes: RunningService) -> Iterator[httpx.Client]:
    """A client of it."""
    with with_volumes.client() as connected:
        yield connected


def body(image: str = "python:3.12", **volume: Any) -> dict[str, Any]:
    """A request of OpenSandbox's API."""
    volumes = [{"name": "v", "mountPath": "/mnt/data", **volume}] if volume else []
    return {"image": {"uri": image}, "timeout": 300, "resourceLimits": {}, "volumes": volumes}


@contextmanager
def made(client: httpx.Client, asked: dict[str, Any]) -> Iterator[Inside]:
    """A sandbox of that API."""
    answer = client.post("/opensandbox/v1/sandboxes", json=asked).raise_for_status()
    sandbox = Inside(client, answer.json()["id"])
    yield sandbox
    client.delete(sandbox.url)


def test_a_folder_of_the_machine(owner: httpx.Client, root: Path) -> None:
    with made(owner, body(host={"path": str(root / "data")})) as sandbox:
        assert sandbox.out("cat /mnt/data/given; echo back >/mnt/data/back") == "given"
        assert (root / "data" / "back").read_text() == "back\n"
        assert owner.get(f"{sandbox.execd}/files/download", params={"path": "/mnt/data/given"}).text == "given\n"
    with made(owner, body(host={"path": str(root / "data")}, readOnly=True)) as sandbox:
        assert "Read-only file system" in sandbox.run("touch /mnt/data/new")["stderr"]
        assert owner.delete(f"{sandbox.execd}/files", params={"path": "/mnt/data/back"}).status_code != 200
    assert (root / "data" / "back").read_text() == "back\n"


def test_a_named_one_is_shared_and_stays(owner: httpx.Client) -> None:
    volumes = [{"volume": "shared", "mount_path": "/mnt/shared"}]
    with new_sandbox(owner, template="python:3", volumes=volumes) as one:
        one.out("echo first >/mnt/shared/file")
        with new_sandbox(owner, template="python:3", volumes=volumes) as other:
            assert other.out("cat /mnt/shared/file; echo second >/mnt/shared/other") == "first"
        assert one.names("/mnt/shared") == ["file", "other"]


@pytest.mark.parametrize(
    "volume",
    [
        {"host": {"path": "/etc"}},
        {"host": {"path": "{root}/../.."}},
        {"host": {"path": "{root}/out"}},
        {"host": {"path": "{root}/data"}, "subPath": "../../.."},
        {"host": {"path": "{root}/data"}, "mountPath": "/usr/share"},
        {"pvc": {"claimName": "../data"}},
    ],
)
def test_nothing_else_of_the_machine(owner: httpx.Client, root: Path, volume: dict[str, Any]) -> None:
    if "host" in volume:
        volume = volume | {"host": {"path": volume["host"]["path"].format(root=root)}}
    refused = owner.post("/opensandbox/v1/sandboxes", json=body(**volume))
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")


def test_images_that_are_not_accepted(owner: httpx.Client) -> None:
    refused = owner.post("/opensandbox/v1/sandboxes", json=body("node:22"))
    assert (refused.status_code, "python:*" in refused.json()["message"]) == (400, True)
