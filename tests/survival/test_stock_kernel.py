"""What becomes of runs in stock kernels whose service ends: they go on; what they say meanwhile nobody keeps."""

from __future__ import annotations

from signal import SIGTERM, Signals

from tests.live.reading import end_of, text_of
from tests.survival.lives import Lives
from tests.survival.test_runs import GATED, begun, open_gate


def test_a_run_goes_on_with_the_next_service(lives: Lives, signum: Signals) -> None:
    lives.again(SIGTERM, python_kernel="stock")
    own = lives.sandbox()
    code = GATED["python"] + "import sys\nprint('done')\nprint(type(sys.stdout).__module__)"
    run_id, last, _ = begun(own, code, language="python")
    lives.again(signum, python_kernel="stock")
    open_gate(own)
    events = own.followed(run_id, last)
    assert end_of(events) == ("succeeded", None)
    assert text_of(events) == "done\nipykernel.iostream\n"


def test_kernels_of_both_kinds_are_adopted(lives: Lives, signum: Signals) -> None:
    own = lives.sandbox()
    lean = own.context()
    own.printed("x = 1", id=lean)
    lives.again(signum, python_kernel="stock")
    stock = own.context()
    own.printed("y = 2", id=stock)
    lives.again(signum)
    look = "import sys; print(type(sys.stdout).__module__, {})"
    assert own.printed(look.format("x"), id=lean) == "execd_kernel.output 1\n"
    assert own.printed(look.format("y"), id=stock) == "ipykernel.iostream 2\n"
