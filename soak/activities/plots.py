"""Figures and frames, and their content as data."""

from __future__ import annotations

import base64

from soak.answers import holds, same
from soak.caller import Caller
from tests.live.reading import SUCCEEDED, end_of, of_type, text_of

_CHART = "application/vnd.execd.chart+json"
_TABLE = "application/vnd.dataresource+json"
_PNG = b"\x89PNG\r\n\x1a\n"


def figure(caller: Caller) -> None:
    """A figure of matplotlib: an image, the chart as data, and nothing that stays open."""
    points = [caller.chance.randrange(1000) for _ in range(20)]
    code = (
        "import matplotlib.pyplot as plt\n"
        f"plt.plot({points}); plt.title({caller.word()!r}); plt.show()\nprint(len(plt.get_fignums()))"
    )
    events = caller.run(code)
    same(end_of(events), SUCCEEDED, "how a run ended")
    [shown] = [event["results"] for event in of_type(events, "result")]
    image = base64.b64decode(shown["image/png"])
    holds(image.startswith(_PNG) and image[-8:-4] == b"IEND", "a figure is no whole PNG", image[:16])
    same([element["y"] for element in shown[_CHART]["elements"]], points, "the points of a chart")
    same(text_of(events), "0\n", "figures left open")


def frame(caller: Caller) -> None:
    """A frame of pandas: HTML, and its rows as data."""
    numbers = [caller.chance.randrange(1000) for _ in range(30)]
    events = caller.run(f"import pandas as pd\npd.DataFrame({{'number': {numbers}}})")
    same(end_of(events), SUCCEEDED, "how a run ended")
    [shown] = [event["results"] for event in of_type(events, "result")]
    holds("<table" in shown["text/html"], "a frame has no table", shown["text/html"])
    same([row["number"] for row in shown[_TABLE]["data"]], numbers, "the rows of a frame")
