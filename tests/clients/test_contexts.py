"""Contexts through the public SDKs: where code keeps its variables."""

from __future__ import annotations

import pytest
from code_interpreter import SupportedLanguage
from opensandbox.exceptions import SandboxApiException

from tests.clients.interpreters import Context, Interpreter

PYTHON = SupportedLanguage.PYTHON


async def test_the_default_context_keeps_its_variables(interpreter: Interpreter) -> None:
    first = await interpreter.run("answer = 42")
    second = await interpreter.run("answer", language=PYTHON)
    assert second.text == "42"
    assert second.id == first.id


async def test_a_created_context_keeps_its_variables(interpreter: Interpreter, context: Context) -> None:
    first = await interpreter.run("import math\ndef area(r): return round(math.pi * r * r, 2)", context=context)
    second = await interpreter.run("area(2)", context=context)
    assert second.text == "12.57"
    assert first.id == second.id == context.id


async def test_contexts_do_not_see_each_other(interpreter: Interpreter, context: Context) -> None:
    await interpreter.run("secret = 'mine'", context=context)
    elsewhere = await interpreter.run("secret")
    assert elsewhere.error is not None
    assert elsewhere.error.name == "NameError"
    assert (await interpreter.run("secret", context=context)).text == "'mine'"


async def test_results_are_numbered_from_one_in_a_new_context(interpreter: Interpreter, context: Context) -> None:
    counts = [(await interpreter.run(code, context=context)).execution_count for code in ("'a'", "'b'", "x = 1")]
    # The execd API numbers results: a cell without a value has none.
    assert counts == [1, 2, None]


async def test_a_context_can_be_found_again(interpreter: Interpreter, context: Context) -> None:
    assert context.id is not None
    assert context.language == PYTHON
    assert await interpreter.get_context(context.id) == context
    assert context in await interpreter.list_contexts(PYTHON)


async def test_a_deleted_context_is_gone(interpreter: Interpreter) -> None:
    context = await interpreter.create_context(PYTHON)
    assert context.id is not None
    await interpreter.delete_context(context.id)
    assert context not in await interpreter.list_contexts(PYTHON)
    for call in (interpreter.get_context, interpreter.delete_context):
        with pytest.raises(SandboxApiException) as caught:
            await call(context.id)
        assert (caught.value.status_code, caught.value.error.code) == (404, "CONTEXT_NOT_FOUND")
    with pytest.raises(SandboxApiException, match=f"context not found: '{context.id}'") as caught:
        await interpreter.run("1", context=context)
    assert caught.value.status_code == 500


async def test_all_contexts_of_a_language_are_deleted_at_once(interpreter: Interpreter) -> None:
    default = await interpreter.run("lost = True")
    created = await interpreter.create_context(PYTHON)
    listed = {context.id for context in await interpreter.list_contexts(PYTHON)}
    assert {default.id, created.id} <= listed
    await interpreter.delete_contexts(PYTHON)
    assert await interpreter.list_contexts(PYTHON) == []
    anew = await interpreter.run("'lost' in globals()")
    assert anew.text == "False"
    assert anew.id not in listed


async def test_a_language_without_contexts_has_an_empty_list(interpreter: Interpreter) -> None:
    assert await interpreter.list_contexts("cobol") == []


async def test_a_context_of_an_unknown_language_is_refused(interpreter: Interpreter) -> None:
    with pytest.raises(SandboxApiException, match=r"unknown language 'cobol'; this service has: .*python") as caught:
        await interpreter.create_context("cobol")
    assert (caught.value.status_code, caught.value.error.code) == (500, "RUNTIME_ERROR")
