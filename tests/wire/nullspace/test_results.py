"""What a run has brought forth, in Nullspace's words."""

from __future__ import annotations

from typing import Any

import pytest

from execd.service.outputs import Outputs, Shown
from execd.service.rich_data import CHART
from execd.wire.nullspace.results import error_body, execution_body, result_body

MIME_TYPES = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "text/javascript": "javascript",
    "application/javascript": "javascript",
}
CHARTED = {"type": "line", "title": "", "elements": [{"x": 1, "y": 2}]}


@pytest.mark.parametrize(("mime_type", "name"), MIME_TYPES.items())
def test_each_mime_type_has_its_field(mime_type: str, name: str) -> None:
    assert result_body({mime_type: "x"}, is_main=False) == {
        name: "x",
        "data": {mime_type: "x"},
        "is_main_result": False,
    }


@pytest.mark.parametrize("content", [{"a": [1]}, [1], 0, None, "x"])
def test_json_may_be_anything(content: Any) -> None:
    body = result_body({"application/json": content}, is_main=True)
    assert body == {"json": content, "data": {"application/json": content}, "is_main_result": True}


def test_what_has_no_field_is_in_the_data() -> None:
    bundle = {"application/vnd.plotly.v1+json": {"data": []}, "text/plain": "x"}
    assert result_body(bundle, is_main=False) == {"text": "x", "data": bundle, "is_main_result": False}


def test_what_is_no_text_is_only_in_the_data() -> None:
    assert result_body({"text/html": ["<b>"]}, is_main=False) == {
        "data": {"text/html": ["<b>"]},
        "is_main_result": False,
    }


@pytest.mark.parametrize(
    ("chart", "there"),
    [(CHARTED, True), ("x", False), ({"type": "line"}, False), ({"type": 1, "elements": []}, False), (None, False)],
)
def test_a_chart_has_the_shape_of_one(chart: Any, there: bool) -> None:
    body = result_body({CHART: chart}, is_main=False)
    assert body.get("chart") == (chart if there else None)
    assert body["data"] == {CHART: chart}


def test_a_traceback_is_one_text() -> None:
    error = {"ename": "E", "evalue": "e", "traceback": ["one", "two"]}
    assert error_body(error) == {"name": "E", "value": "e", "traceback": "one\ntwo"}


def test_an_execution() -> None:
    empty = {"results": [], "artifacts": [], "logs": {"stdout": [], "stderr": []}}
    assert execution_body(Outputs()) == empty
    outputs = Outputs(
        [Shown({"text/plain": "1"}, is_main=True)],
        ["a", "b\n"],
        ["e"],
        [{"id": "art_1"}],
        {"ename": "E", "evalue": "e", "traceback": []},
        3,
    )
    assert execution_body(outputs, lambda artifact: {**artifact, "download_url": "x"}) == {
        "results": [{"text": "1", "data": {"text/plain": "1"}, "is_main_result": True}],
        "artifacts": [{"id": "art_1", "download_url": "x"}],
        "logs": {"stdout": ["a", "b\n"], "stderr": ["e"]},
        "error": {"name": "E", "value": "e", "traceback": ""},
        "execution_count": 3,
    }
