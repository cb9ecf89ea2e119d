"""Artifacts over HTTP: told of by runs, listed, fetched, shown, deleted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.generations import Generation
from tests.live.reading import kinds, of_type, run
from tests.running_service import running_service


class Made:
    """A sandbox of a generation in which code is run."""

    def __init__(self, generation: Generation) -> None:
        self.client = generation.client
        self.base = generation.url(generation.create()["id"], "/code/artifacts")
        self.execd = httpx.Client(
            base_url=f"{self.client.base_url}{generation.url(generation.made[-1])}/proxy/44772", timeout=60
        )

    def run(self, code: str) -> list[dict[str, Any]]:
        """The artifacts that a run tells of."""
        return [event["artifact"] for event in of_type(run(self.execd, code), "artifact")]

    def get(self, below: str = "", **query: Any) -> httpx.Response:
        """A call on its artifacts."""
        return self.client.get(f"{self.base}{below}", params=query)

    def names(self, **query: Any) -> list[str]:
        """What a list has."""
        return [found["name"] for found in self.get(**query).json()["items"]]


@pytest.fixture
def made(generation: Generation) -> Iterator[Made]:
    found = Made(generation)
    yield found
    found.execd.close()


def test_files_and_outputs_of_a_run(made: Made) -> None:
    code = (
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\nopen('out.txt', 'w').write('hello')\n1"
    )
    events = run(made.execd, code)
    assert kinds(events)[-3:] == ["artifact", "artifact", "execution_complete"]
    page, text = (event["artifact"] for event in of_type(events, "artifact"))
    assert (page["kind"], page["mime_type"], page["execution_count"]) == ("html", "text/html", 1)
    assert (text["name"], text["kind"], text["size_bytes"]) == ("out.txt", "file", 5)
    assert text["sha256"] == hashlib.sha256(b"hello").hexdigest()
    shown = made.get(f"/{text['id']}").json()
    assert {name: shown[name] for name in text} == text
    listed = made.get().json()
    assert [found["id"] for found in listed["items"]] == [text["id"], page["id"]]
    assert listed["next_cursor"] is None


def test_a_run_that_fails_has_made_what_it_has(made: Made) -> None:
    [found] = made.run("open('out.txt', 'w').write('hello')\n1 / 0")
    assert found["name"] == "out.txt"


def test_an_overwritten_file_is_another_artifact(made: Made) -> None:
    [first] = made.run("open('out.txt', 'w').write('one')")
    [second] = made.run("open('out.txt', 'w').write('two')")
    assert first["id"] != second["id"]
    assert made.get(f"/{first['id']}/download").content == b"one"
    assert made.get(f"/{second['id']}/download").content == b"two"
    assert made.run("open('out.txt').read()") == []


def test_what_others_write_between_runs_is_not_a_runs(made: Made) -> None:
    made.run("1")
    files = made.base.removesuffix("/code/artifacts") + "/files/write"
    assert made.client.post(files, json={"path": "other.txt", "content": "x"}).status_code == 200
    assert [found["name"] for found in made.run("open('mine.txt', 'w').write('x')")] == ["mine.txt"]


def test_lists_are_filtered_and_paged(made: Made) -> None:
    [first] = made.run("open('a.txt', 'w').write('a')")
    made.run("open('b.html', 'w').write('<html>')")
    made.run("open('c.txt', 'w').write('c')")
    assert made.names() == ["c.txt", "b.html", "a.txt"]
    assert made.names(kind="html") == ["b.html"]
    assert made.names(execution_count=1) == ["a.txt"]
    assert made.names(context_id=first["context_id"], limit=1) == ["c.txt"]
    assert made.names(context_id="ctx_none") == []
    page = made.get(limit=2).json()
    made.run("open('d.txt', 'w').write('d')")
    assert made.names(limit=2, cursor=page["next_cursor"]) == ["a.txt"]


@pytest.mark.parametrize("query", [{"kind": "tea"}, {"limit": 0}, {"cursor": "?"}, {"execution_count": "x"}])
def test_lists_that_cannot_be_meant(made: Made, query: dict[str, Any]) -> None:
    answer = made.get(**query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_download(made: Made) -> None:
    [found] = made.run("open('naïve.txt', 'w').write('hello')")
    url = f"{made.base}/{found['id']}/download"
    answer = made.client.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"hello", "text/plain")
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["etag"] == f'"{found["sha256"]}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    part = made.client.get(url, headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"el", "bytes 1-2/5")
    assert made.client.get(url, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert made.client.get(url, headers={"Range": "bytes=9-"}).status_code == 416
    head = made.client.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")


HTML = "open('page.html', 'w').write('<html><script>1</script>')"
SVG = "open('a.svg', 'w').write('<svg><script>1</script></svg>')"


@pytest.mark.parametrize(("code", "mime_type"), [(HTML, "text/html"), (SVG, "image/svg+xml")])
def test_a_preview_runs_nothing(made: Made, code: str, mime_type: str) -> None:
    [found] = made.run(code)
    answer = made.get(f"/{found['id']}/preview")
    assert answer.headers["content-type"] == f"{mime_type}; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("inline; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    directives = [directive.strip() for directive in answer.headers["content-security-policy"].split(";")]
    assert "sandbox" in directives
    assert "default-src 'none'" in directives
    assert "script" not in answer.headers["content-security-policy"]


def test_a_pdf_is_shown(made: Made) -> None:
    [found] = made.run("open('a.pdf', 'w').write('%PDF-1.7')")
    answer = made.get(f"/{found['id']}/preview")
    assert (answer.headers["content-type"], found["kind"]) == ("application/pdf", "document")
    assert "content-security-policy" not in answer.headers


def test_links_are_their_own_key(made: Made) -> None:
    [found] = made.run("open('out.txt', 'w').write('hello')")
    shown = made.get(f"/{found['id']}").json()
    download, preview = (httpx.get(shown[name]) for name in ("download_url", "preview_url"))
    assert (download.content, preview.content) == (b"hello", b"hello")
    assert download.headers["content-disposition"].startswith("attachment")
    assert preview.headers["content-disposition"].startswith("inline")
    assert "sandbox" in preview.headers["content-security-policy"]
    forged = httpx.get(shown["download_url"][:-3] + "abc")
    assert (forged.status_code, forged.json()["code"]) == (404, "not_found")


def test_a_deleted_one_is_gone(made: Made) -> None:
    [found] = made.run("open('out.txt', 'w').write('hello')")
    link = made.get(f"/{found['id']}").json()["download_url"]
    assert made.client.delete(f"{made.base}/{found['id']}").status_code == 204
    for gone in (made.get(f"/{found['id']}"), made.get(f"/{found['id']}/download"), httpx.get(link)):
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert made.client.delete(f"{made.base}/{found['id']}").status_code == 404
    assert made.names() == []


def test_those_of_another_sandbox_are_none(made: Made, generation: Generation) -> None:
    [found] = made.run("open('out.txt', 'w').write('hello')")
    other = generation.url(generation.create()["id"], f"/code/artifacts/{found['id']}")
    for method, below in (("GET", ""), ("GET", "/download"), ("GET", "/preview"), ("DELETE", "")):
        answer = generation.client.request(method, other + below)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert made.get(f"/{found['id']}").status_code == 200
    unknown = generation.client.get(generation.url(f"{generation.prefix}nobody", "/code/artifacts"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, f"{generation.noun}_not_found")


def test_they_outlive_their_sandbox(made: Made, generation: Generation) -> None:
    [found] = made.run("open('out.txt', 'w').write('hello')")
    assert generation.client.delete(generation.url(generation.made.pop())).status_code == 200
    assert made.names() == ["out.txt"]
    assert made.get(f"/{found['id']}/download").content == b"hello"


def test_too_many_are_told(made: Made) -> None:
    events = run(made.execd, "for i in range(105): open(f'{i:03}', 'w').write('same')")
    assert len(of_type(events, "artifact")) == 100
    [notice] = of_type(events, "truncated")
    assert (notice["stream"], notice["dropped_count"], notice["dropped_bytes"]) == ("artifacts", 5, 20)


def test_nothing_of_it_is_lost_when_the_service_restarts(tmp_path: Path) -> None:
    with running_service(tmp_path) as service, service.client() as client:
        [event] = of_type(run(client, "open('out.txt', 'w').write('hello')"), "artifact")
        one = f"/v1/sandboxes/default/code/artifacts/{event['artifact']['id']}"
        link = httpx.URL(client.get(one).json()["preview_url"]).path
    with running_service(tmp_path) as service, service.client() as client:
        assert client.get(f"{one}/download").content == b"hello"
        assert client.get(link).content == b"hello"
        assert not list((service.data_dir / "artifacts").glob(".new*"))


def test_links_need_no_token(tmp_path: Path) -> None:
    with running_service(tmp_path, access_token="secret") as service:
        with service.client(headers={"X-EXECD-ACCESS-TOKEN": "secret"}) as client:
            [event] = of_type(run(client, "open('out.txt', 'w').write('hello')"), "artifact")
            one = f"{service.url}/v1/sandboxes/default/code/artifacts/{event['artifact']['id']}"
            shown = client.get(one).json()
        assert httpx.get(shown["download_url"]).content == b"hello"
        assert httpx.get(one).status_code == 401
