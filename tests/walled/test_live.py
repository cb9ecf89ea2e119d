"""Tests of a service without walls that must hold behind walls, too: interrupts, input, sessions and their like."""

from tests.live.test_background_commands import TestTheAnswer
from tests.live.test_interrupts import (
    test_an_interrupt_before_the_kernel_has_begun_stops_the_run,
    test_code_is_stopped_and_variables_survive,
    test_code_that_swallows_every_interrupt_loses_its_kernel,
    test_code_that_swallows_one_interrupt_gets_a_second,
    test_code_that_waits_for_input_is_stopped,
    test_interrupting_an_idle_context_harms_nothing,
)
from tests.live.test_sessions import (
    session,
    test_a_state_that_is_lost_is_told,
    test_an_interrupted_run_ends_and_the_state_is_kept,
    test_sessions_share_nothing,
    test_state_lasts_over_runs_and_exits,
)
from tests.live.test_stdin import (
    test_a_password_is_asked_for_as_one,
    test_input_fails_at_once_unless_it_was_allowed,
    test_input_is_asked_for_and_answered,
)

__all__ = [
    "TestTheAnswer",
    "session",
    "test_a_password_is_asked_for_as_one",
    "test_a_state_that_is_lost_is_told",
    "test_an_interrupt_before_the_kernel_has_begun_stops_the_run",
    "test_an_interrupted_run_ends_and_the_state_is_kept",
    "test_code_is_stopped_and_variables_survive",
    "test_code_that_swallows_every_interrupt_loses_its_kernel",
    "test_code_that_swallows_one_interrupt_gets_a_second",
    "test_code_that_waits_for_input_is_stopped",
    "test_input_fails_at_once_unless_it_was_allowed",
    "test_input_is_asked_for_and_answered",
    "test_interrupting_an_idle_context_harms_nothing",
    "test_sessions_share_nothing",
    "test_state_lasts_over_runs_and_exits",
]
