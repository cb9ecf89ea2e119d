"""What a run has brought forth, as a tool answers it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from execd.service.outputs import Outputs
from execd.wire.mcp.rendering import Bounds, Rendered, listed, pixels_of, render, text_of
from execd.wire.mcp.reply import Image
from execd.wire.mcp.structured import ArtifactShown, ImageShown
from execd.wire.mcp.telling import HeadAndTail

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4) + b"\x08\x06"
PNG_BASE64 = base64.b64encode(PNG).decode()
PLENTY = Bounds(10_000, 10_000)


def dress(artifact: Mapping[str, Any]) -> ArtifactShown:
    """An artifact as it is shown."""
    return ArtifactShown(
        id=artifact["id"],
        name="x.png",
        kind="image",
        mime_type="image/png",
        size_bytes=1,
        uri=f"execd://{artifact['id']}",
    )


def outputs(*events: dict[str, Any], most: int = 10_000) -> Outputs:
    """What these events are folded to."""
    found = Outputs(stdout=HeadAndTail(most), stderr=HeadAndTail(most))
    found.add(json.dumps(event).encode() for event in events)
    return found


def result(**data: Any) -> dict[str, Any]:
    """A cell's value; `image_png` stands for image/png."""
    bundle = {key.replace("_", "/", 1): value for key, value in data.items()}
    return {"type": "result", "results": {"text": "", **bundle}, "is_main_result": True}


def printed(text: str, stream: str = "stdout") -> dict[str, Any]:
    """Some output."""
    return {"type": stream, "text": text}


ERROR = {
    "type": "error",
    "error": {"ename": "E", "evalue": "why", "traceback": ["-" * 75, "\x1b[31mE\x1b[0m  Traceback", "E: why"]},
}


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([], "(no output)"),
        ([printed("out\n")], "out"),
        ([printed("no end"), result(text_plain="42")], "no end\n42"),
        ([result(text_plain="1"), result(text_plain="2")], "1\n2"),
        ([printed("out\n"), printed("err\n", "stderr"), result(text_plain="1")], "out\n1\n[stderr]\nerr"),
        ([printed("out\n"), ERROR], "out\n[error]\nE  Traceback\nE: why"),
        ([{"type": "error", "error": {"ename": "E", "evalue": "why", "traceback": []}}], "[error]\nE: why"),
        ([printed("old"), {"type": "clear_output", "wait": False}, printed("new")], "new"),
        ([printed("\x1b[1mbold\x1b[0m")], "bold"),
        ([printed("a\n\n\n")], "a\n\n"),
    ],
)
def test_the_text_of_a_run(events: list[dict[str, Any]], text: str) -> None:
    assert render(outputs(*events), PLENTY, dress).text == text


@pytest.mark.parametrize(
    ("bundle", "text"),
    [
        ({"text/plain": "42"}, "42"),
        ({"text/plain": "<IPython.core.display.Markdown object>", "text/markdown": "# md"}, "# md"),
        ({"text/plain": "<IPython.core.display.HTML object>", "text/html": "<b>x</b>"}, "<b>x</b>"),
        ({"text/plain": "   a\n0  1", "text/html": "<table>"}, "   a\n0  1"),
        ({"text/plain": "$x$", "text/latex": "$$x$$"}, "$$x$$"),
        ({"application/json": {"ü": [1]}}, '{"ü": [1]}'),
        ({"text/plain": 3}, ""),
        ({}, ""),
    ],
)
def test_the_form_that_says_most(bundle: dict[str, Any], text: str) -> None:
    assert text_of(bundle) == text


def test_each_part_has_its_share() -> None:
    many = "".join(f"line {number}\n" for number in range(1000))
    told = render(outputs(printed(many), printed("short\n", "stderr"), ERROR), Bounds(1024, 0), dress)
    assert len(told.body.encode()) < 1024 + 256
    assert told.body.startswith("line 0\n")
    assert told.body.endswith("[stderr]\nshort\n[error]\nE  Traceback\nE: why")
    assert "line 999\n" in told.body
    assert told.left_out_bytes > 7000


def test_much_more_than_is_held_is_counted_in_full() -> None:
    pieces = [printed(f"line {number}\n") for number in range(10_000)]
    total = sum(len(piece["text"]) for piece in pieces)
    told = render(outputs(*pieces, most=512), Bounds(512, 0), dress)
    shown = sum(len(line) + 1 for line in told.body.split("\n") if line.startswith("line "))
    assert abs(total - shown - told.left_out_bytes) <= 1


def test_an_image_is_an_image() -> None:
    artifact = {"type": "artifact", "artifact": {"id": "art_1", "sha256": hashlib.sha256(PNG).hexdigest()}}
    told = render(outputs(result(image_png=PNG_BASE64, text_plain="<Figure>"), artifact), PLENTY, dress)
    assert told.images == [Image("image/png", PNG_BASE64)]
    assert told.text == "[image/png 640×480, artifact art_1]"
    assert told.images_shown == [
        ImageShown(mime_type="image/png", width=640, height=480, artifact_id="art_1", shown=True)
    ]


def test_images_beyond_the_bound_are_named_only() -> None:
    told = render(outputs(*[result(image_png=PNG_BASE64)] * 3), Bounds(1000, 2 * len(PNG_BASE64)), dress)
    assert len(told.images) == 2
    assert [image.shown for image in told.images_shown] == [True, True, False]
    assert told.text.endswith("[image/png 640×480, too large to be shown here]")


def test_what_is_no_image_does_no_harm() -> None:
    told = render(outputs(result(image_png="?"), result(image_jpeg=7, text_plain="seven")), PLENTY, dress)
    assert told.text == "[image/png]\nseven"
    assert pixels_of(Image("image/png", "AAAA")) is None


TABLE = {
    "schema": {"fields": [{"name": "index"}, {"name": "n"}]},
    "data": [{"index": row, "n": row * row} for row in range(100)],
    "truncated": True,
    "total_rows": 5000,
}


def test_a_table_is_rows_as_many_as_fit() -> None:
    event = {"type": "result", "results": {"application/vnd.dataresource+json": TABLE}, "is_main_result": True}
    (table,) = render(outputs(event), PLENTY, dress).tables
    assert (table.columns, len(table.rows), table.rows_left_out) == (["index", "n"], 100, 4900)
    (table,) = render(outputs(event), Bounds(200, 0), dress).tables
    assert 0 < len(table.rows) < 10
    assert table.rows_left_out == 5000 - len(table.rows)


@pytest.mark.parametrize("broken", [{"data": 1}, {"schema": 3, "data": [1, {"a": 1}]}, 7, {"data": []}])
def test_what_is_no_table_does_no_harm(broken: Any) -> None:
    event = {"type": "result", "results": {"application/vnd.dataresource+json": broken}, "is_main_result": True}
    assert render(outputs(event), PLENTY, dress).text


def test_notes_come_last() -> None:
    assert Rendered(body="out\n", notes=["one", "two"]).text == "out\n[execd] one\n[execd] two"
    assert Rendered(notes=["one"]).text == "(no output)\n[execd] one"


def test_artifacts_in_a_line() -> None:
    assert listed([dress({"id": "art_1"})]) == "x.png (image/png, 1 bytes, execd://art_1)"
