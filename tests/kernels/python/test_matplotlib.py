"""Figures: each of a cell's figures comes out once, whichever way it is made and shown."""

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Cell, Kernel, StartKernel

PNG = "image/png"
SETUP = """
import matplotlib.pyplot as plt, numpy as np, pandas as pd
fig = plt.figure(); plt.plot([1]); plt.close(fig); del fig  # builds the font cache, which says so on stderr
"""


@pytest.fixture(scope="module", autouse=True)
def libraries(kernel: "Kernel") -> None:
    kernel.run(SETUP)


@pytest.fixture
def inline(kernel: "Kernel") -> Iterator["Kernel"]:
    """The shared kernel, put back to its inline defaults afterwards."""
    yield kernel
    kernel.run("plt.close('all'); plt.ion()\n%matplotlib inline\n%config InlineBackend.close_figures = True")
    kernel.run("%config InlineBackend.figure_formats = ['png']")


def widths(cell: "Cell") -> list[int]:
    """The width in pixels of each image, from the PNG header."""
    return [int.from_bytes(base64.b64decode(image)[16:20], "big") for image in cell.values(PNG)]


@pytest.mark.parametrize(
    "code",
    [
        "plt.plot([1, 2]); None",
        "plt.plot([1, 2])\nplt.show()",
        "fig, ax = plt.subplots()\nax.plot([1, 2]);",
        "pd.DataFrame({'a': [1, 2]}).plot();",
        "pd.Series([1, 2]).plot(kind='bar')\nplt.show()",
        "fig, ax = plt.subplots(); fig.show()",
        "from matplotlib.figure import Figure\nplt.subplots(FigureClass=type('Mine', (Figure,), {}));",
    ],
)
def test_a_figure_that_is_shown_or_left_open_is_displayed_once(kernel: "Kernel", code: str) -> None:
    cell = kernel.run(code)
    assert cell.kinds == ["display_data"]
    assert base64.b64decode(cell.values(PNG)[0]).startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    "code",
    [
        "fig, ax = plt.subplots(); ax.plot([1, 2]); fig",
        "plt.plot([1, 2]); plt.gcf()",
        "plt.plot([1, 2]).pop().figure",
        "fig, ax = plt.subplots(); display(fig)",
        "pd.DataFrame({'a': [1, 2]}).plot().figure",
    ],
)
def test_a_figure_that_is_a_value_or_displayed_appears_once(kernel: "Kernel", code: str) -> None:
    cell = kernel.run(code)
    assert len(cell.bundles()) == len(cell.values(PNG)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "plt.plot([1, 2])",
        "fig, ax = plt.subplots(); ax.plot([1, 2])",
        "pd.DataFrame({'a': [1, 2]}).plot()",
        "pd.DataFrame({'a': [1, 2]}).hist()",
        "def plot(data):\n    ax = plt.gca()\n    ax.scatter(data, data)\n    return ax\nplot([1, 2])",
    ],
)
def test_artists_as_the_value_come_as_text_and_their_figure_once(kernel: "Kernel", code: str) -> None:
    cell = kernel.run(code)
    assert cell.kinds == ["execute_result", "display_data"]
    assert [PNG in data for data in cell.bundles()] == [False, True]


def test_a_figure_of_an_earlier_cell_can_be_the_value_again(kernel: "Kernel") -> None:
    kernel.run("old, ax = plt.subplots(); ax.plot([1, 2]);")
    assert len(kernel.run("old").values(PNG)) == 1
    assert len(kernel.run("ax.set_title('again'); display(old)").values(PNG)) == 1


def test_several_figures_come_once_each_in_order(kernel: "Kernel") -> None:
    kernel.run("%config InlineBackend.print_figure_kwargs = {'bbox_inches': None}")
    assert widths(kernel.run("for w in (3, 4, 5): plt.subplots(figsize=(w, 2), dpi=100)")) == [300, 400, 500]
    cell = kernel.run("one, two = (plt.subplots(figsize=(w, 2), dpi=100)[0] for w in (3, 4))\ntwo")
    assert cell.kinds == ["execute_result", "display_data"]
    assert widths(cell) == [400, 300]
    kernel.run("%config InlineBackend.print_figure_kwargs = {'bbox_inches': 'tight'}")


def test_show_keeps_its_place_between_prints(kernel: "Kernel") -> None:
    cell = kernel.run("print('before')\nplt.plot([1])\nplt.show()\nprint('after')\nplt.plot([2]);")
    assert cell.kinds == ["stream", "display_data", "stream", "display_data"]


def test_a_figure_that_changes_after_its_display_comes_out_changed(kernel: "Kernel") -> None:
    first, last = kernel.run("fig, ax = plt.subplots(); display(fig); ax.plot([1, 2]);").values(PNG)
    assert first != last


def test_closed_figures_do_not_appear(kernel: "Kernel") -> None:
    assert kernel.run("fig, ax = plt.subplots(); plt.close(fig)").bundles() == []
    assert kernel.run("plt.subplots(); plt.subplots(); plt.close('all')").bundles() == []


def test_figures_of_a_failing_cell_are_shown(kernel: "Kernel") -> None:
    cell = kernel.run("plt.plot([1]); 1 / 0", check=False)
    assert cell.kinds == ["error", "display_data"]


def test_figures_of_an_awaiting_cell_come_once(kernel: "Kernel") -> None:
    cell = kernel.run("import asyncio; await asyncio.sleep(0); fig, ax = plt.subplots(); fig")
    assert len(cell.values(PNG)) == 1


def test_figure_formats_can_be_configured(inline: "Kernel") -> None:
    cell = inline.run("%config InlineBackend.figure_formats = ['svg']\nfig, ax = plt.subplots(); fig")
    (data,) = cell.bundles()
    assert "<svg" in data["image/svg+xml"]
    assert PNG not in data
    assert len(inline.run("plt.plot([1]); None").values("image/svg+xml")) == 1


def test_figures_that_are_kept_open_on_request_stay_open(inline: "Kernel") -> None:
    inline.run("%config InlineBackend.close_figures = False\nfig, ax = plt.subplots(); fig")
    assert inline.run("print(plt.fignum_exists(fig.number))").text("stdout") == "True\n"


@pytest.mark.parametrize(
    "code",
    [
        "plt.plot([1, 2])\nplt.show()",
        "plt.plot([1, 2]);",
        "plt.plot([1, 2]); plt.gcf()",
        "fig, ax = plt.subplots(); fig.show()",
        "plt.plot([1, 2]); plt.savefig('/dev/null', format='png')",
    ],
)
def test_the_agg_backend_shows_figures_without_a_warning(inline: "Kernel", code: str) -> None:
    cell = inline.run(f"import matplotlib; matplotlib.use('Agg')\n{code}")
    assert len(cell.values(PNG)) == 1
    assert cell.text("stderr") == ""
    assert inline.run("print(plt.get_fignums())").text("stdout") == "[]\n"


def test_agg_chosen_before_pyplot_is_imported(start_kernel: "StartKernel") -> None:
    code = "import matplotlib; matplotlib.use('Agg'); import matplotlib.pyplot as plt\nplt.plot([1]); plt.show()"
    cell = start_kernel().run(code)
    assert len(cell.values(PNG)) == 1


def test_importing_matplotlib_in_the_plotting_cell_is_enough(start_kernel: "StartKernel") -> None:
    cell = start_kernel().run("import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1])\nfig")
    assert len(cell.values(PNG)) == 1


def test_a_figure_made_without_pyplot_can_be_the_value(start_kernel: "StartKernel") -> None:
    cell = start_kernel().run("from matplotlib.figure import Figure\nfig = Figure()\nfig.subplots().plot([1])\nfig")
    assert len(cell.bundles()) == len(cell.values(PNG)) == 1
