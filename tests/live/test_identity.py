"""/v1/filesystem/{uid}/{gid}/…, and what a service of a plain user says to it."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.live.uploading import upload
from tests.running_service import running_service

ROOT = os.geteuid() == 0
USER = "/v1/filesystem/54321/54322"
needs_root = pytest.mark.skipif(not ROOT, reason="only root can act as others; that others are refused is tested too")


@pytest.fixture
def theirs(public_folder: Path) -> Path:
    """A folder of that user's, in one that is not."""
    folder = public_folder / "theirs"
    folder.mkdir()
    os.chown(folder, 54321, 54322)
    (public_folder / "ours").write_text("secret")
    (public_folder / "ours").chmod(0o600)
    return folder


@needs_root
class TestRoot:
    """A service that root runs."""

    def test_what_is_made_is_theirs(self, client: httpx.Client, theirs: Path) -> None:
        assert upload(client, ({"path": str(theirs / "a/b")}, b"x"), prefix=USER).status_code == 200
        assert client.post(f"{USER}/directories", json={str(theirs / "c"): {"mode": 700}}).status_code == 200
        assert client.post(f"{USER}/files/replace", json={str(theirs / "a/b"): {"old": "x", "new": "y"}}).is_success
        assert client.post(f"{USER}/files/mv", json=[{"src": f"{theirs}/a/b", "dest": f"{theirs}/d/e"}]).is_success
        for path in [theirs / "a", theirs / "c", theirs / "d", theirs / "d/e"]:
            assert (path.stat().st_uid, path.stat().st_gid) == (54321, 54322)
        found = client.get(f"{USER}/directories/list", params={"path": str(theirs), "depth": "2"}).json()
        assert [(shown["path"].removeprefix(str(theirs)), shown["owner"]) for shown in found] == [
            ("/a", "54321"),
            ("/c", "54321"),
            ("/d", "54321"),
            ("/d/e", "54321"),
        ]
        assert client.get(f"{USER}/files/download", params={"path": str(theirs / "d/e")}).text == "y"
        assert client.delete(f"{USER}/directories", params={"path": str(theirs / "d")}).is_success
        assert not (theirs / "d").exists()

    def test_what_is_not_theirs_is_refused(self, client: httpx.Client, theirs: Path) -> None:
        ours, new = str(theirs.parent / "ours"), str(theirs.parent / "new")
        refused = [
            client.get(f"{USER}/files/download", params={"path": ours}),
            client.get(f"{USER}/files/download", params={"path": ours, "offset": "1"}),
            client.post(f"{USER}/files/permissions", json={ours: {"mode": 777}}),
            client.post(f"{USER}/files/replace", json={ours: {"old": "s", "new": "x"}}),
            client.post(f"{USER}/files/mv", json=[{"src": ours, "dest": new}]),
            client.post(f"{USER}/directories", json={new: {"mode": 755}}),
            client.delete(f"{USER}/files", params={"path": ours}),
            client.delete(f"{USER}/directories", params={"path": str(theirs)}),
            upload(client, ({"path": ours}, b"x"), prefix=USER),
            upload(client, ({"path": new}, b"x"), prefix=USER),
            upload(client, ({"path": str(theirs / "x"), "owner": "0"}, b"x"), prefix=USER),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "FORBIDDEN")] * len(
            refused
        )
        assert (theirs.parent / "ours").read_text() == "secret"
        assert list(theirs.iterdir()) == []

    def test_the_service_is_itself_again(self, client: httpx.Client, theirs: Path) -> None:
        for _ in range(50):
            client.get(f"{USER}/files/info", params={"path": str(theirs)})
            assert client.get("/files/download", params={"path": str(theirs.parent / "ours")}).text == "secret"

    def test_home_is_theirs(self, client: httpx.Client) -> None:
        found = client.get("/v1/filesystem/1/1/files/info", params={"path": "~"})
        assert found.status_code in (200, 404)
        assert "/root" not in found.text


@pytest.mark.parametrize("numbers", ["-1/0", "0/x", "4294967295/0", "0/99999999999"])
def test_what_is_no_user(client: httpx.Client, numbers: str) -> None:
    answer = client.get(f"/v1/filesystem/{numbers}/files/info", params={"path": "/"})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST_BODY")


def test_the_services_own_identity_is_always_served(client: httpx.Client) -> None:
    own = f"/v1/filesystem/{os.geteuid()}/{os.getegid()}"
    assert client.get(f"{own}/files/info", params={"path": "/"}).status_code == 200


def test_a_service_of_a_plain_user_says_that_it_cannot(public_folder: Path) -> None:
    user = 54321 if ROOT else None
    if user is not None:
        os.chown(public_folder, user, user)
    with running_service(public_folder, user) as service, service.client() as client:
        answer = client.get("/v1/filesystem/0/0/files/download", params={"path": "/etc/shadow"})
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
        assert "cannot act as uid 0, gid 0" in answer.json()["message"]
        plain = client.get("/files/download", params={"path": "/etc/shadow"})
        assert (plain.status_code, plain.json()["code"]) == (403, "FORBIDDEN")
        assert upload(client, ({"path": str(public_folder / "a"), "owner": "0"}, b"x")).status_code == 403
        assert upload(client, ({"path": str(public_folder / "a")}, b"x")).status_code == 200
