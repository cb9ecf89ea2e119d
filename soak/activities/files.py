"""Files: sent, fetched, found, moved, changed, watched, deleted."""

from __future__ import annotations

import base64

from soak.answers import same
from soak.caller import Caller, Sandbox
from tests.live.reading import Stream, is_a, run, text_of
from tests.live.uploading import upload


def transferred(caller: Caller) -> None:
    """Some files there and back, and changed in between."""
    folder = caller.word()
    contents = {f"{folder}/{n}.bin": caller.chance.randbytes(caller.chance.randrange(1, 300_000)) for n in range(3)}
    answer = upload(caller.http, *(({"path": path}, content) for path, content in contents.items()))
    same(answer.status_code, 200, f"an upload ({answer.text})")
    try:
        for path, content in contents.items():
            same(_fetched(caller, path) == content, True, "whether a file came back as it was sent")
        part = caller.http.get("/files/download", params={"path": f"{folder}/0.bin"}, headers={"Range": "bytes=0-0"})
        same((part.status_code, part.content), (206, contents[f"{folder}/0.bin"][:1]), "the first byte of a file")
        found = caller.http.get("/files/search", params={"path": folder, "pattern": "*.bin"}).raise_for_status().json()
        same(len(found), 3, "how many files were found")
        _moved(caller, folder, contents[f"{folder}/1.bin"])
    finally:
        same(caller.http.delete("/directories", params={"path": folder}).status_code, 200, "DELETE of a folder")


def seen_by_code(caller: Caller) -> None:
    """A file that was sent, read by code; and one that code has written, fetched."""
    folder, content = caller.word(), caller.chance.randbytes(5000)
    same(upload(caller.http, ({"path": f"{folder}/in"}, content)).status_code, 200, "an upload")
    try:
        text = base64.b64encode(content).decode()
        code = f"import base64\nwith open('{folder}/in', 'rb') as f: data = f.read()\n"
        same(caller.printed(f"{code}print(base64.b64encode(data).decode())"), f"{text}\n", "a file as code reads it")
        same(caller.printed(f"with open('{folder}/out', 'wb') as f: print(f.write(data[::-1]))"), "5000\n", "a write")
        same(_fetched(caller, f"{folder}/out") == content[::-1], True, "whether a file is what code has written")
    finally:
        same(caller.http.delete("/directories", params={"path": folder}).status_code, 200, "DELETE of a folder")


def watched(caller: Caller) -> None:
    """A folder that is watched while code writes in it."""
    with caller.sandbox() as sandbox:
        _watch(sandbox)


def _watch(sandbox: Sandbox) -> None:
    asked = {"path": ".", "recursive": "true"}
    with sandbox.http.stream("GET", "/files/watch", params=asked) as answer:
        stream = Stream(answer)
        stream.until(is_a("init"))
        events = run(sandbox.http, "import os\nos.mkdir('new')\nopen('new/file', 'w').close()\nprint('done')")
        same(text_of(events), "done\n", "a run beside a watch")
        stream.until(lambda event: event["type"] == "file_created" and str(event["path"]).endswith("/new/file"))


def _moved(caller: Caller, folder: str, content: bytes) -> None:
    moved = caller.http.post("/files/mv", json=[{"src": f"{folder}/1.bin", "dest": f"{folder}/b/moved"}])
    same(moved.status_code, 200, f"a move ({moved.text})")
    same(_fetched(caller, f"{folder}/b/moved") == content, True, "whether a file that was moved is the same")
    gone = caller.http.get("/files/download", params={"path": f"{folder}/1.bin"})
    same(gone.status_code, 404, "a file that was moved away")


def _fetched(caller: Caller, path: str) -> bytes:
    answer = caller.http.get("/files/download", params={"path": path})
    same(answer.status_code, 200, "a download")
    return answer.content
