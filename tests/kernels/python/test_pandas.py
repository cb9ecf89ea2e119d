"""Tables: text, HTML and data, whatever is in them."""

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.kernels.python.conftest import Kernel

MIME_TYPE = "application/vnd.dataresource+json"
SETUP = """
import decimal, warnings
import numpy as np, pandas as pd
warnings.simplefilter("always")
"""


@pytest.fixture(scope="module", autouse=True)
def libraries(kernel: "Kernel") -> None:
    kernel.run(SETUP)


def resource(kernel: "Kernel", code: str) -> dict[str, Any]:
    (table,) = kernel.run(code).values(MIME_TYPE)
    assert isinstance(table, dict)
    return table


def test_a_frame_is_text_html_and_data(kernel: "Kernel") -> None:
    (data,) = kernel.run("pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})").bundles("execute_result")
    assert set(data) == {"text/plain", "text/html", MIME_TYPE}
    assert data[MIME_TYPE]["data"] == [{"index": 0, "a": 1, "b": "x"}, {"index": 1, "a": 2, "b": "y"}]
    assert [field["name"] for field in data[MIME_TYPE]["schema"]["fields"]] == ["index", "a", "b"]
    assert "truncated" not in data[MIME_TYPE]


def test_a_series_is_shown_as_a_frame(kernel: "Kernel") -> None:
    (data,) = kernel.run("pd.Series([1.5, 2.5], name='price')").bundles("execute_result")
    assert data["text/plain"].endswith("Name: price, dtype: float64")
    assert "<th>price</th>" in data["text/html"]
    assert data[MIME_TYPE]["data"] == [{"index": 0, "price": 1.5}, {"index": 1, "price": 2.5}]
    assert resource(kernel, "pd.Series([7])")["data"] == [{"index": 0, "values": 7}]


def test_display_carries_the_same(kernel: "Kernel") -> None:
    (data,) = kernel.run("display(pd.DataFrame({'a': [1]}))").bundles("display_data")
    assert set(data) == {"text/plain", "text/html", MIME_TYPE}


def test_the_shape_is_that_of_pandas(kernel: "Kernel") -> None:
    frame = "pd.DataFrame({'t': pd.to_datetime(['2024-05-06 07:08']), 'c': pd.Categorical(['u'])}, index=['r'])"
    printed = kernel.run(f"print({frame}.to_json(orient='table'))").text("stdout")
    assert resource(kernel, frame) == json.loads(printed)


@pytest.mark.parametrize(
    ("code", "cells"),
    [
        ("pd.DataFrame({'a': [1.5, np.nan, np.inf, -np.inf]})", [1.5, None, None, None]),
        ("pd.DataFrame({'a': [0.1234567890123]})", [0.1234567890123]),
        ("pd.DataFrame({'a': [pd.NaT, pd.Timestamp('2024-01-02')]})", [None, "2024-01-02T00:00:00.000"]),
        ("pd.DataFrame({'a': pd.to_timedelta([90], 's')})", ["P0DT0H1M30S"]),
        ("pd.DataFrame({'a': [None, pd.NA, 'x', True, 3]})", [None, None, "x", True, 3]),
        ("pd.DataFrame({'a': [decimal.Decimal('1.10')]})", ["1.10"]),
        ("pd.DataFrame({'a': [2 ** 80]})", [2**80]),
        ("pd.DataFrame({'a': [object, {'k': [1]}]})", ["<class 'object'>", {"k": [1]}]),
        ("pd.DataFrame({'a': pd.Categorical(['x', None, 'y'])})", ["x", None, "y"]),
        ("pd.DataFrame({'a': [1, 2]}, index=['same', 'same'])", [1, 2]),
        ("pd.DataFrame({'a': [1, 2]}, index=pd.MultiIndex.from_tuples([(1, 'x'), (2, 'y')]))", [1, 2]),
        ("pd.DataFrame({'a': [1]}, index=pd.Index([4], name='index'))", [1]),
        ("pd.DataFrame({'a': [3]}, index=pd.Index([9], name='a'))", [3]),
        ("pd.DataFrame({'a': [3]}).reset_index()", [3]),
        ("pd.DataFrame({'a': []})", []),
    ],
)
def test_cells_of_every_kind_are_valid_json(kernel: "Kernel", code: str, cells: list[Any]) -> None:
    cell = kernel.run(code)
    assert [row["a"] for row in cell.values(MIME_TYPE)[0]["data"]] == cells
    assert (cell.kinds, cell.text("stderr")) == (["execute_result"], "")


@pytest.mark.parametrize("code", ["pd.DataFrame()", "pd.Series(dtype=float)", "pd.DataFrame(index=[])"])
def test_empty_tables(kernel: "Kernel", code: str) -> None:
    assert resource(kernel, code)["data"] == []


@pytest.mark.parametrize(
    "code",
    [
        "pd.DataFrame([[1, 2]], columns=['same', 'same'])",
        "pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([('a', 1), ('a', 2)]))",
        "pd.DataFrame([[1, 2]], columns=[0, '0'])",
        r"pd.DataFrame({'a': ['\ud800']})",
        "pd.DataFrame({'a': ['x' * 2_000_000]})",
    ],
)
def test_what_the_shape_cannot_hold_leaves_only_that_type_out(kernel: "Kernel", code: str) -> None:
    cell = kernel.run(code)
    (data,) = cell.bundles("execute_result")
    assert set(data) == {"text/plain", "text/html"}
    assert (cell.kinds, cell.text("stderr")) == (["execute_result"], "")


def test_large_tables_are_cut_and_say_so(kernel: "Kernel") -> None:
    table = resource(kernel, "pd.DataFrame({f'c{i}': range(100_000) for i in range(60)})")
    assert (table["truncated"], table["total_rows"], table["total_columns"]) == (True, 100_000, 60)
    assert (len(table["data"]), len(table["schema"]["fields"])) == (100, 51)
    assert [row["c0"] for row in table["data"]] == list(range(100))


def test_wide_text_is_cut_to_fewer_rows(kernel: "Kernel") -> None:
    table = resource(kernel, "pd.DataFrame({'a': ['x' * 100_000] * 20})")
    assert (table["truncated"], table["total_rows"], table["total_columns"]) == (True, 20, 1)
    assert 1 <= len(table["data"]) < 10


def test_a_subclass_with_its_own_html_keeps_it(kernel: "Kernel") -> None:
    code = "class Mine(pd.Series):\n    def _repr_html_(self):\n        return '<b>mine</b>'\nMine([1])"
    assert kernel.run(code).values("text/html") == ["<b>mine</b>"]


def test_pandas_own_options_are_untouched(kernel: "Kernel") -> None:
    assert kernel.run("pd.get_option('display.html.table_schema')").values("text/plain") == ["False"]
    option = "pd.option_context('display.notebook_repr_html', False)"
    assert kernel.run(f"with {option}: display(pd.Series([1]), pd.DataFrame([1]))").values("text/html") == []
