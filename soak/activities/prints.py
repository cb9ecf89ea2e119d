"""Much output: many prints, each flushed, and one large one."""

from __future__ import annotations

from soak.answers import same
from soak.caller import Caller, printed, seqs_without_gaps


def flushed(caller: Caller) -> None:
    """Every print is there, in order."""
    count = caller.chance.randrange(100, 2000)
    events = caller.run(f"for number in range({count}): print(number, flush=True)")
    same(printed(events), "".join(f"{number}\n" for number in range(count)), "flushed prints")
    seqs_without_gaps(events)


def large(caller: Caller) -> None:
    """One print of a megabyte and more."""
    word, count = caller.word(), caller.chance.randrange(50_000, 200_000)
    events = caller.run(f"print('\\n'.join(f'{word} {{number}}' for number in range({count})))")
    same(printed(events), "".join(f"{word} {number}\n" for number in range(count)), "a large print")


def nameless(caller: Caller) -> None:
    """What is written below Python, by the code itself and by what it starts."""
    word = caller.word()
    code = f"import os, subprocess\nos.write(1, b'{word} itself\\n')\nsubprocess.run(['echo', '{word}'])\nNone"
    lines = printed(caller.run(code)).splitlines()
    same([line for line in lines if not line.startswith("CompletedProcess")], [f"{word} itself", word], "raw output")
