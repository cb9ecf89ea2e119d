"""Which folders may be volumes, and which images sandboxes may name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execd.errors import InvalidRequest
from execd.isolation.plan import Bind
from execd.service.images import profile_of
from execd.service.volumes import Volume, bind


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root of volumes, with ways out of it."""
    root = tmp_path / "volumes"
    (root / "data" / "inner").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "escape").symlink_to(tmp_path / "outside")
    (root / "file").touch()
    return root


def test_a_folder_below_the_root(root: Path) -> None:
    wanted = Volume("volumes.0", "/mnt/data", host=str(root / "data"), below="inner", read_only=True)
    assert bind(wanted, root) == Bind(str(root / "data" / "inner"), "/mnt/data", writable=False)


def test_a_named_volume_is_made(root: Path) -> None:
    found = bind(Volume("volumes.0", "/mnt/cache", name="cache", below="a/b"), root)
    assert found == Bind(str(root / "cache" / "a" / "b"), "/mnt/cache", writable=True)
    assert Path(found.source).is_dir()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "/etc"}, "volumes are below"),
        ({"host": "{root}/../outside"}, "volumes are below"),
        ({"host": "{root}/escape"}, "volumes are below"),
        ({"host": "{root}/data", "below": "../../outside"}, "volumes are below"),
        ({"name": "data", "below": "../../outside"}, "volumes are below"),
        ({"name": "escape"}, "volumes are below"),
        ({"name": ".."}, "expected a name"),
        ({"name": "a/b"}, "expected a name"),
        ({"host": "{root}/missing"}, "expected a folder that exists"),
        ({"host": "{root}/file"}, "expected a folder that exists"),
        ({"host": "{root}/data", "target": "relative"}, "expected an absolute path"),
        ({"host": "{root}/data", "target": "/a/../etc"}, "expected an absolute path"),
        ({"host": "{root}/data", "target": "/"}, "expected an absolute path"),
        ({"host": "{root}/data", "target": "//usr/share/x"}, "nothing can be mounted at"),
        ({"host": "{root}/data", "target": "/run/execd"}, "nothing can be mounted at"),
    ],
)
def test_others_are_refused(root: Path, given: dict[str, str], said: str) -> None:
    filled: dict[str, Any] = {"target": "/mnt"} | {name: value.format(root=root) for name, value in given.items()}
    with pytest.raises(InvalidRequest, match=f"^volumes.0: {said}"):
        bind(Volume("volumes.0", **filled), root)


def test_without_a_root_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="EXECD_VOLUME_ROOT"):
        bind(Volume("volumes.0", "/mnt", host=str(tmp_path)), None)


@pytest.mark.parametrize(
    ("image", "accepted", "profile"),
    [
        ("anything:latest", {}, "default"),
        ("python:3.12", {"python:*": "data", "*": "plain"}, "data"),
        ("node", {"python:*": "data", "*": "plain"}, "plain"),
    ],
)
def test_images(image: str, accepted: dict[str, str], profile: str) -> None:
    assert profile_of(image, accepted, "image") == profile


def test_an_image_that_is_not_accepted() -> None:
    with pytest.raises(InvalidRequest, match=r"^image\.uri: .*python:\*, got 'node'"):
        profile_of("node", {"python:*": "data"}, "image.uri")
