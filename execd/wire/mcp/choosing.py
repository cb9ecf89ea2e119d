"""The context that code is to run in: the one that is named, or that all share; made where there is none."""

from __future__ import annotations

from dataclasses import dataclass

from execd.errors import ContextNotFound, InvalidRequest
from execd.service.context import Context
from execd.service.contexts import Contexts

DEFAULT_LANGUAGE = "python"


@dataclass(frozen=True, slots=True)
class Chosen:
    """It; `made` for this."""

    context: Context
    made: bool = False


def choose(contexts: Contexts, name: str | None, language: str | None) -> Chosen:
    """Raises InvalidRequest where the context speaks another language; UnknownLanguage, TooManyContexts."""
    if name is None:
        wanted = language or DEFAULT_LANGUAGE
        made = not contexts.has_default(wanted)
        return Chosen(contexts.default(wanted), made)
    try:
        context = contexts.named(name)
    except ContextNotFound:
        return Chosen(contexts.prepare(language or DEFAULT_LANGUAGE, name=name), made=True)
    if language not in (None, context.language):
        raise InvalidRequest(f"the context {name!r} speaks {context.language}, not {language!r}", "language")
    return Chosen(context)


def called(context: Context) -> str:
    """What to call it when talking to a model."""
    return f"{context.name!r} ({context.id})" if context.name else context.id
