"""Files of a sandbox, in both generations of Nullspace's API."""

from __future__ import annotations

from tests.live.generations import Generation


def test_files(generation: Generation) -> None:
    made = generation.create()["id"]
    info = generation.post(made, "/files/write", path="a/b.txt", content="text").json()
    assert set(info) == {
        *("name", "path", "is_dir", "size", "type", "mode", "permissions", "owner", "group", "modified_time")
    }
    generation.post(made, "/exec", command="ln -s b.txt a/link", shell=True)
    assert generation.post(made, "/files/info", path="a/link").json()["symlink_target"] == "b.txt"
    read = generation.post(made, "/files/read", path="a/b.txt", encoding="base64").json()
    assert read == {"content": "dGV4dA==", "encoding": "base64", "size": 4}
    assert generation.post(made, "/files/write", path="x", content="!", encoding="base64").status_code == 400
    raw = generation.url(made, "/file")
    assert generation.client.put(raw, params={"path": "raw"}, content=b"\x00raw").status_code == 204
    assert generation.client.get(raw, params={"path": "raw"}, headers={"Range": "bytes=1-"}).content == b"raw"
    assert generation.client.post(raw, params={"path": "form"}, files={"file": b"form"}).status_code == 204
    assert generation.client.get(raw, params={"path": "form"}).content == b"form"
    missing = generation.client.post(raw, params={"path": "form"}, files={"other": b"form"})
    assert (missing.status_code, missing.json()["code"]) == (400, "invalid_request")
    assert generation.client.get(raw).json()["code"] == "invalid_request"
    assert generation.post(made, "/files/permissions", path="raw", permissions="abc").status_code == 400


def test_uploads_in_parts(generation: Generation) -> None:
    made = generation.create()["id"]
    uploads = generation.url(made, "/uploads")
    begun = generation.client.post(uploads, json={"target_path": "up", "content_length": 3})
    assert begun.status_code == 201
    session = begun.json()["session"]
    one = f"{uploads}/{session['upload_id']}"
    assert (session["part_count"], session["next_part"], session["status"]) == (1, 0, "created")
    early = generation.client.post(f"{one}/complete")
    assert (early.status_code, early.json()["code"]) == (409, "file_upload_error")
    wrong = generation.client.put(f"{one}/parts/0", content=b"abc", headers={"x-nullspace-part-sha256": "00"})
    assert wrong.status_code == 409
    assert generation.client.put(f"{one}/parts/0", content=b"abcd").status_code == 409
    assert generation.client.put(f"{one}/parts/1", content=b"abc").status_code == 400
    staged = generation.client.put(f"{one}/parts/0", content=b"abc").json()
    assert (staged["status"], staged["accepted_bytes"]) == ("staged", 3)
    done = generation.client.post(f"{one}/complete").json()
    assert (done["session"]["status"], done["published_bytes"]) == ("completed", 3)
    assert generation.client.get(one).json()["status"] == "completed"
    assert generation.client.get(generation.url(made, "/file"), params={"path": "up"}).content == b"abc"
    other = generation.client.post(uploads, json={"target_path": "up", "content_length": 1}).json()["session"]
    assert generation.client.delete(f"{uploads}/{other['upload_id']}").status_code == 204
    assert generation.client.get(f"{uploads}/{other['upload_id']}").status_code == 404
