"""Short runs of code: values, text on both streams, errors, displays, variables, and answers to `input()`."""

from __future__ import annotations

from soak.answers import same
from soak.caller import Caller, answer_input, printed, seqs_without_gaps
from tests.live.reading import SUCCEEDED, end_of, is_a, kinds, of_type, running, text_of

# What others do in the sandbox meanwhile may be artifacts of this run, too.
_CLEARED = ["stdout", "clear_output", "execution_complete"]


def value(caller: Caller) -> None:
    """The value of an expression, and the state that stays from run to run."""
    one, other = caller.chance.randrange(10**9), caller.chance.randrange(10**9)
    events = caller.run(f"kept, {one} + {other}")
    [result] = of_type(events, "result")
    same(result["results"]["text"], f"('still here', {one + other})", "a value")
    same(end_of(events), SUCCEEDED, "how a run ended")
    seqs_without_gaps(events)


def both_streams(caller: Caller) -> None:
    """Text on stdout and stderr, each whole and in order."""
    word = caller.word()
    lines = "".join(f"{word} {number}\n" for number in range(50))
    events = caller.run(
        f"import sys\nfor n in range(50):\n    print({word!r}, n)\n    print({word!r}, n, file=sys.stderr)"
    )
    same(printed(events), lines, "stdout")
    same(text_of(events, "stderr"), lines, "stderr")


def error(caller: Caller) -> None:
    """An error of the code, with what it printed before."""
    word = caller.word()
    events = caller.run(f"print('before')\ndef fails():\n    raise KeyError({word!r})\nfails()")
    same(text_of(events), "before\n", "what was printed before an error")
    [found] = of_type(events, "error")
    same((found["error"]["ename"], found["error"]["evalue"]), ("KeyError", repr(word)), "an error")
    same("fails()" in "".join(found["error"]["traceback"]), True, "the traceback names the call")
    same(end_of(events), ("failed", "error"), "how a run ended")


def rich(caller: Caller) -> None:
    """Rich displays, one of which is updated, and clearing."""
    word = caller.word()
    code = (
        "from IPython.display import HTML, JSON, Markdown, clear_output, display\n"
        f"handle = display(HTML('<b>{word}</b>'), display_id='{word}')\n"
        f"display(JSON({{'word': '{word}'}}), Markdown('*{word}*'))\n"
        f"handle.update(HTML('<i>{word}</i>'))\n"
        "print('x')\nclear_output()"
    )
    events = caller.run(code)
    shown = [event["results"] for event in of_type(events, "result")]
    same(shown[0].get("text/html"), f"<b>{word}</b>", "a display of HTML")
    same(shown[1].get("application/json"), {"word": word}, "a display of JSON")
    same(shown[2].get("text/markdown"), f"*{word}*", "a display of Markdown")
    [updated] = of_type(events, "update_display_data")
    same((updated["display_id"], updated["results"]["text/html"]), (word, f"<i>{word}</i>"), "an update")
    same([kind for kind in kinds(events) if kind != "artifact"][-3:], _CLEARED, "the last events")


def variables(caller: Caller) -> None:
    """Environment variables of one run, which are gone in the next."""
    word = caller.word()
    ask = "import os\nprint(os.environ.get('SOAKED'))"
    same(printed(caller.run(ask, envs={"SOAKED": word})), f"{word}\n", "a variable of a run")
    same(caller.printed(ask), "None\n", "a variable of another run")


def answered(caller: Caller) -> None:
    """`input()`, answered while the run waits."""
    word = caller.word()
    with running(caller.http, "print(input('who? '))", allow_stdin=True, id=caller.context) as stream:
        same(stream.until(is_a("input_request"))["prompt"], "who? ", "a prompt")
        answer_input(caller.http, stream, word)
        events = [event for event in stream.rest() if event["type"] != "ping"]
    same(printed(events), f"{word}\n", "what came of an input")
