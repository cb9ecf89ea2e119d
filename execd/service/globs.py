"""File name patterns in doublestar's syntax: `*`, `**`, `?`, `[a-z]`, `[!a-z]`, `{one,other}`, `\\` before any of them.

They are matched against a base name, which has no slash in it: `**/` in front and `/**` behind stand for no folder at
all, and any other slash matches nothing. A match takes a time that grows with the product of both lengths and no
faster, whatever the pattern: it follows all possibilities at once, as sets of positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from execd.errors import InvalidRequest

_MOST_LENGTH = 4096
_MOST_DEPTH = 32


@dataclass(frozen=True, slots=True)
class _OneOf:
    """One character within, or not within, some ranges."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def accepts(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True, slots=True)
class _Anything:
    """Any characters, or none."""


@dataclass(frozen=True, slots=True)
class _Either:
    """One of several sequences."""

    alternatives: tuple[_Sequence, ...]


_Element = _OneOf | _Anything | _Either
_Sequence = tuple[_Element, ...]

_ANY_ONE = _OneOf((), negated=True)


class Glob:
    """A pattern. Raises InvalidRequest for one that is malformed."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MOST_LENGTH:
            raise InvalidRequest(f"expected at most {_MOST_LENGTH} characters", "pattern")
        self._elements = _Parser(pattern).parse()

    def matches(self, name: str) -> bool:
        """Whether the whole name fits the pattern."""
        return len(name) in _advance(self._elements, frozenset({0}), name)


def _advance(elements: _Sequence, positions: frozenset[int], name: str) -> frozenset[int]:
    for element in elements:
        if not positions:
            break
        match element:
            case _Anything():
                positions = frozenset(range(min(positions), len(name) + 1))
            case _OneOf():
                positions = frozenset(at + 1 for at in positions if at < len(name) and element.accepts(name[at]))
            case _Either(alternatives):
                positions = frozenset().union(*(_advance(found, positions, name) for found in alternatives))
    return positions


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> _Sequence:
        elements = self._sequence()
        if self._at < len(self._pattern):
            raise self._malformed("a } without its {")
        return elements

    def _malformed(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"expected a well-formed pattern, {self._pattern[:80]!r} has {why}", "pattern")

    def _sequence(self) -> _Sequence:
        elements: list[_Element] = []
        while self._at < len(self._pattern):
            if self._pattern[self._at] == "}" or (self._depth and self._pattern[self._at] == ","):
                break
            if not self._skip_folders():
                elements.append(self._element())
        return tuple(elements)

    def _skip_folders(self) -> bool:
        before = self._pattern[self._at - 1 : self._at]
        if before in ("", "/", "{", ",") and self._pattern.startswith("**/", self._at):
            self._at += 3
            return True
        rest = self._pattern[self._at + 3 : self._at + 4]
        if rest in ("", "}", ",") and self._pattern.startswith("/**", self._at):
            self._at += 3
            return True
        return False

    def _element(self) -> _Element:
        match self._next():
            case "*":
                while self._pattern.startswith("*", self._at):
                    self._at += 1
                return _Anything()
            case "?":
                return _ANY_ONE
            case "[":
                return self._class()
            case "{":
                return self._alternatives()
            case "\\":
                return _literal(self._next())
            case character:
                return _literal(character)

    def _next(self) -> str:
        if self._at == len(self._pattern):
            raise self._malformed("nothing after its last \\, [ or {")
        self._at += 1
        return self._pattern[self._at - 1]

    def _class(self) -> _OneOf:
        negated = self._pattern.startswith(("!", "^"), self._at)
        self._at += negated
        ranges: list[tuple[str, str]] = []
        while not (ranges and self._pattern.startswith("]", self._at)):
            low = self._class_character()
            high = low
            if self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at):
                self._at += 1
                high = self._class_character()
            if low > high:
                raise self._malformed(f"the empty range {low}-{high}")
            ranges.append((low, high))
        self._at += 1
        return _OneOf(tuple(ranges), negated)

    def _class_character(self) -> str:
        character = self._next()
        if character == "]":
            raise self._malformed("an empty []")
        return self._next() if character == "\\" else character

    def _alternatives(self) -> _Either:
        if self._depth == _MOST_DEPTH:
            raise self._malformed(f"more than {_MOST_DEPTH} levels of {{}}")
        self._depth += 1
        alternatives = [self._sequence()]
        while self._next() == ",":
            alternatives.append(self._sequence())
        self._depth -= 1
        return _Either(tuple(alternatives))


def _literal(character: str) -> _OneOf:
    return _OneOf(((character, character),))
