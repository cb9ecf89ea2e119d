"""Which environment variables a run may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from execd.errors import EnvsUnavailable, InvalidRequest
from execd.kernel.request import ExecuteRequest
from execd.kernel.variables import check
from tests.kernel.fake_kernel import SPEC

PYTHON, BASH, STOCK = (replace(SPEC, engine=engine) for engine in ("zygote", "bash", "jupyter"))


@pytest.mark.parametrize("spec", [PYTHON, BASH, None])
def test_what_any_of_ours_takes(spec: object) -> None:
    check({"A": "it's\n\u2028", "_b2": "", "PATH": "=:"}, spec)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "envs",
    [
        {"": "S3"},
        {"A=B": "S3"},
        {"A\0": "S3"},
        {"A": "S3\0"},
        {"A": "S3\ud800"},
        {"\ud800": "S3"},
        {"A": "", "=": "S3"},
    ],
)
@pytest.mark.parametrize("spec", [PYTHON, BASH, None])
def test_what_no_process_can_have_is_refused_without_its_value(spec: object, envs: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check(envs, spec)  # type: ignore[arg-type]
    assert refusal.value.field.startswith("envs.")
    assert "S3" not in str(refusal.value)
    str(refusal.value).encode()


@pytest.mark.parametrize("name", ["a.b", "1A", "A-B", "A B", "\u00e4"])
def test_a_shell_takes_only_its_own_kind_of_names(name: str) -> None:
    check({name: "v"}, PYTHON)
    with pytest.raises(InvalidRequest, match="digits"):
        check({name: "v"}, BASH)


def test_a_stock_kernel_takes_none_and_that_is_said() -> None:
    check({}, STOCK)
    with pytest.raises(EnvsUnavailable, match="python kernel cannot"):
        check({"A": "v"}, STOCK)


def test_a_request_that_is_shown_shows_no_value() -> None:
    assert "s3cr3t" not in repr(ExecuteRequest("code", envs={"A": "s3cr3t"}))
