"""What a file is, by its content and its name."""

from __future__ import annotations

import pytest

from execd.service.media import Kind, extension_of, kind_of, media_of

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.mark.parametrize(
    ("name", "head", "mime_type", "kind"),
    [
        ("a.png", PNG, "image/png", "image"),
        ("no-ending", PNG, "image/png", "image"),
        ("a.txt", PNG, "image/png", "image"),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg", "image"),
        ("a.gif", b"GIF89a\0\0", "image/gif", "image"),
        ("a.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp", "image"),
        ("a.svg", b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="">', "image/svg+xml", "image"),
        ("a", b"<SVG>", "image/svg+xml", "image"),
        ("a.pdf", b"%PDF-1.7\n%", "application/pdf", "document"),
        ("a", b"%PDF-1.7\n\xe2\xe3", "application/pdf", "document"),
        ("a.docx", b"PK\3\4\0\0", DOCX, "document"),
        ("a.xlsx", b"PK\3\4\0\0", XLSX, "document"),
        ("a.zip", b"PK\3\4\0\0", "application/zip", "file"),
        ("a.png", b"PK\3\4\0\0", "application/zip", "file"),
        ("a.html", b"<p>no root", "text/html", "html"),
        ("a.txt", b"\xef\xbb\xbf <!doctype HTML>\n", "text/html", "html"),
        ("a", b"<html lang=en>", "text/html", "html"),
        ("a.csv", b"a,b\n", "text/csv", "file"),
        ("a.csv", b"", "text/csv", "file"),
        ("a.json", b"{}", "application/json", "file"),
        ("a.md", b"# a", "text/markdown", "file"),
        ("a.ipynb", b"{}", "application/x-ipynb+json", "file"),
        ("a.weird", b"words", "text/plain", "file"),
        ("a.txt", "é".encode()[:1], "text/plain", "file"),
        ("a.tar.gz", b"\x1f\x8b\x08\0", "application/gzip", "file"),
        ("a.parquet", b"PAR1\x15\0", "application/vnd.apache.parquet", "file"),
        ("a.npy", b"\x93NUMPY\1\0", "application/x-npy", "file"),
        ("a", b"\0\1\2", "application/octet-stream", "file"),
        ("a", b"", "application/octet-stream", "file"),
    ],
)
def test_the_content_decides_and_the_name_chooses(name: str, head: bytes, mime_type: str, kind: str) -> None:
    found = media_of(name, head)
    assert (found.mime_type, found.kind.value) == (mime_type, kind)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.pdf", "a.html", "a.svg", "a.mp4", "a.json"])
def test_a_name_that_promises_what_is_not_there_is_not_believed(name: str) -> None:
    assert media_of(name, b"\0\1\2\3 nothing that anybody knows").mime_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("mime_type", "kind"),
    [
        ("image/anything", Kind.IMAGE),
        ("text/html", Kind.HTML),
        ("application/vnd.oasis.opendocument.text", Kind.DOCUMENT),
        ("application/msword", Kind.DOCUMENT),
        ("text/plain", Kind.FILE),
        ("application/pdfs", Kind.FILE),
    ],
)
def test_kinds(mime_type: str, kind: Kind) -> None:
    assert kind_of(mime_type) is kind


def test_what_names_end_with() -> None:
    assert extension_of("image/jpeg") == ".jpg"
    assert extension_of("text/csv") == ".csv"
    assert extension_of("application/x-nobody-knows") == ""
