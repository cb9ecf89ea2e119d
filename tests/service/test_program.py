"""Programs and threads: what follows from their values."""

from __future__ import annotations

from execd.service.program import LANGUAGES, Program, passing_sandbox, thread_sandbox, thread_sandbox_id


def test_every_language_gets_its_code_by_the_standard_input() -> None:
    for language in LANGUAGES:
        command = Program(language, "é", 1.5, {"A": "b"}, "t").command
        assert command.given == "é".encode()
        assert (command.content, command.timeout, command.alone) == ("é", 1.5, True)
        assert command.env == {"A": "b", "PYTHONUNBUFFERED": "1"}


def test_the_id_of_a_thread_s_sandbox() -> None:
    found = {thread_sandbox_id(tenant, thread) for tenant in ("a", "b") for thread in ("x", "y", "X")}
    assert len(found) == 6
    assert all(identity.startswith("sb_") and len(identity) == 15 and identity[3:].isalnum() for identity in found)
    # It must be found again by every later version.
    assert thread_sandbox_id("default", "t1") == "sb_063sip0o14q5"


def test_how_long_the_sandboxes_are_to_live() -> None:
    assert (thread_sandbox("t", 7.0).timeout, thread_sandbox("t", 7.0).idle_timeout) == (0, 7.0)
    assert passing_sandbox(10.0).timeout == 70.0
