"""What code displays, besides its result: shown, updated, cleared."""

from __future__ import annotations

import httpx

from tests.live.reading import kinds, of_type, run


def test_a_display_is_a_result_that_is_not_the_main_one(client: httpx.Client) -> None:
    code = "from IPython.display import HTML, display\ndisplay(HTML('<b>bold</b>'))\n'the value'"
    shown, value = of_type(run(client, code), "result")
    assert shown["is_main_result"] is False
    assert shown["results"]["text/html"] == "<b>bold</b>"
    assert shown["results"]["text"] == shown["results"]["text/plain"]
    assert (value["is_main_result"], value["results"]["text"]) == (True, "'the value'")


def test_metadata_comes_along(client: httpx.Client) -> None:
    shown = "{'image/png': 'AAAA'}, raw=True, metadata={'image/png': {'width': 7}}"
    code = f"from IPython.display import display\ndisplay({shown})"
    (event,) = of_type(run(client, code), "result")
    assert event["metadata"] == {"image/png": {"width": 7}}
    assert event["results"] == {"text": "", "image/png": "AAAA"}


def test_json_parts_stay_json(client: httpx.Client) -> None:
    code = "from IPython.display import JSON\nJSON({'a': [1, 2.5, None, 'ü']})"
    (shown,) = of_type(run(client, code), "result")
    assert shown["results"]["application/json"] == {"a": [1, 2.5, None, "ü"]}


def test_a_display_can_be_updated(client: httpx.Client) -> None:
    code = "from IPython.display import display\nhandle = display('old', display_id='d-1')\nhandle.update('new')"
    events = run(client, code)
    (shown,), (updated,) = of_type(events, "result"), of_type(events, "update_display_data")
    assert (shown["display_id"], shown["results"]["text"]) == ("d-1", "'old'")
    assert (updated["display_id"], updated["results"]["text"]) == ("d-1", "'new'")


def test_output_can_be_cleared(client: httpx.Client) -> None:
    code = "from IPython.display import clear_output\nprint('a')\nclear_output(wait=True)\nprint('b')\nclear_output()"
    events = run(client, code)
    cleared = of_type(events, "clear_output")
    assert [event["wait"] for event in cleared] == [True, False]
    assert all(type(event["timestamp"]) is int for event in cleared)
    assert kinds(events) == ["init", "stdout", "clear_output", "stdout", "clear_output", "execution_complete"]


def test_a_progress_bar_is_passed_on_as_it_is_written(client: httpx.Client) -> None:
    code = "import sys\nfor step in range(3): print(f'\\r{step}/3', end='', file=sys.stderr, flush=True)"
    assert "".join(event["text"] for event in of_type(run(client, code), "stderr")) == "\r0/3\r1/3\r2/3"
