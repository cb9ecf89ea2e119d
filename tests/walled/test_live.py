"""Tests of a service without walls that must hold behind walls, too: interrupts, input, sessions and their like."""

from tests.live.test_interrupts import (
    test_an_interrupt_before_the_kernel_has_begun_stops_the_run,
    test_code_is_stopped_and_variables_survive,
    test_code_that_swallows_one_interrupt_gets_a_second,
    test_code_that_waits_for_input_is_stopped,
    test_two_interrupts_at_once_are_one,
)
from tests.live.test_stdin import (
    test_a_password_is_asked_for_as_one,
    test_input_fails_at_once_unless_it_was_allowed,
    test_input_is_asked_for_and_answered,
)

__all__ = [
    "test_a_password_is_asked_for_as_one",
    "test_an_interrupt_before_the_kernel_has_begun_stops_the_run",
    "test_code_is_stopped_and_variables_survive",
    "test_code_that_swallows_one_interrupt_gets_a_second",
    "test_code_that_waits_for_input_is_stopped",
    "test_input_fails_at_once_unless_it_was_allowed",
    "test_input_is_asked_for_and_answered",
    "test_two_interrupts_at_once_are_one",
]
