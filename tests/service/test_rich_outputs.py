"""The outputs of a run that are worth keeping."""

from __future__ import annotations

import base64

import pytest

from execd.events import ClearOutput, Display, DisplayUpdate, Event, Result, Stdout, encode
from execd.service.rich_outputs import Rendering, RichOutputs, renderings


def figure(display_id: str | None = None) -> Display:
    return Display({"image/png": "AAAA"}, {}, display_id)


def update(display_id: str | None, **data: str) -> DisplayUpdate:
    return DisplayUpdate(data or {"image/png": "BBBB"}, {}, display_id)


@pytest.mark.parametrize(
    ("events", "seqs"),
    [
        ([], []),
        ([Stdout("text"), Result({"text/plain": "1"}, {})], []),
        ([figure(), Stdout("text"), Result({"text/html": "<p>"}, {})], [1, 3]),
        ([figure(), figure(), ClearOutput(wait=False)], []),
        ([figure(), ClearOutput(wait=True)], [1]),
        ([figure(), ClearOutput(wait=True), figure()], [3]),
        ([figure(), ClearOutput(wait=True), Stdout("text")], []),
        ([figure(), ClearOutput(wait=True), ClearOutput(wait=False), figure(), figure()], [4, 5]),
        ([figure("a"), figure("b"), update("a"), update("a")], [2, 4]),
        ([figure("a"), update("a", text="gone")], []),
        ([figure("a"), update(None)], [1]),
        ([figure(None), update("a")], [1, 2]),
    ],
)
def test_what_stands_there_in_the_end_counts(events: list[Event], seqs: list[int]) -> None:
    outputs = RichOutputs()
    for seq, event in enumerate(events, start=1):
        outputs.see(event, seq)
    assert outputs.seqs == seqs


def shown(**data: object) -> list[Rendering]:
    bundle = {name.replace("__", "/").replace("_xml", "+xml"): value for name, value in data.items()}
    return list(renderings(encode(Display(bundle, {}), 1, 1)))


def test_each_representation_is_one() -> None:
    png = base64.b64encode(b"\x89PNG").decode()
    assert shown(text__plain="a", text__html="<p>é", image__png=png) == [
        Rendering("image/png", b"\x89PNG"),
        Rendering("text/html", "<p>é".encode()),
    ]


def test_line_ends_in_base64_are_nothing() -> None:
    [found] = shown(application__pdf="JVBE\nRi0=\n")
    assert found.content == b"%PDF-"


def test_svg_is_text() -> None:
    assert shown(image__svg_xml="<svg/>") == [Rendering("image/svg+xml", b"<svg/>")]


@pytest.mark.parametrize("value", ["A", "", 7, None, ["AAAA"]])
def test_what_is_no_content_is_passed_over(value: object) -> None:
    assert shown(image__png=value) == []
