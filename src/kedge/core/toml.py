"""Where each key of a TOML text stands, and which keys a type does not have, so that an error can name the line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

KeyPath = tuple[str, ...]

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<text>\"{3}(?:\\.|(?!\"{3})[^\\])*\"{3,5}|'{3}(?:(?!'{3}).)*'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    |(?P<mark>[\[\]{}=,.])
    |(?P<bare>[^\s\[\]{}=,.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


def find_lines(text: str) -> Mapping[KeyPath, int]:
    """The line (from 1) of every key and table of a valid TOML text; elements of arrays are keyed by their number."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownKey:
    """A key that the type at its place does not have, and those that it has."""

    path: KeyPath
    known: tuple[str, ...]


def find_unknown(kind: Any, raw: Any, path: KeyPath = ()) -> UnknownKey | None:
    """The first key in `raw` that `kind`, or a type inside it at any depth, does not have."""
    if get_origin(kind) in (Union, UnionType):
        shapes = [each for each in get_args(kind) if is_dataclass(each) or get_args(each)]
        return find_unknown(shapes[0], raw, path) if len(shapes) == 1 else None
    if is_dataclass(kind) and isinstance(raw, Mapping):
        known = tuple(each.name for each in fields(kind))
        stranger = next((key for key in raw if key not in known), None)
        if stranger is not None:
            return UnknownKey(path=(*path, stranger), known=known)
    found = (find_unknown(each, value, (*path, key)) for key, each, value in _inner(kind, raw))
    return next((unknown for unknown in found if unknown is not None), None)


def _inner(kind: Any, raw: Any) -> list[tuple[str, Any, Any]]:
    """The values inside a value, each with its key and its type."""
    arguments = get_args(kind)
    if is_dataclass(kind) and isinstance(raw, Mapping):
        hints = get_type_hints(kind)
        return [(key, hints[key], value) for key, value in raw.items() if key in hints]
    if isinstance(raw, Mapping) and len(arguments) == 2:
        return [(key, arguments[1], value) for key, value in raw.items()]
    if isinstance(raw, list) and arguments:
        return [(str(number), arguments[0], value) for number, value in enumerate(raw)]
    return []


class _Scanner:
    """Walks the tokens of a text that a TOML parser has accepted."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        self._tables: dict[KeyPath, int] = {}
        line = 1
        for match in _TOKEN.finditer(text):
            if match.lastgroup != "space":
                self._tokens.append((match.lastgroup or "", match.group(), line))
            line += match.group().count("\n")

    def document(self) -> None:
        """Every table and key of the text."""
        table: KeyPath = ()
        while self._at < len(self._tokens):
            kind, word, line = self._tokens[self._at]
            if kind == "newline":
                self._at += 1
            elif word == "[" and kind == "mark":
                table = self._header(line)
            else:
                self._pair(table)

    def _peek(self) -> str:
        """The next mark, "\\n" for a newline, or "" for a word or the end."""
        if self._at >= len(self._tokens):
            return ""
        kind, word, _ = self._tokens[self._at]
        return word if kind in ("mark", "newline") else ""

    def _header(self, line: int) -> KeyPath:
        self._at += 1
        many = self._peek() == "["
        self._at += many
        path = self._within_last(self._key())
        self._at += 1 + many
        if many:
            number = self._tables.get(path, -1) + 1
            self._tables[path] = number
            self.lines.setdefault(path, line)
            path = (*path, str(number))
        self._mark(path, line)
        return path

    def _within_last(self, path: KeyPath) -> KeyPath:
        """A path through arrays of tables leads to the last table of each."""
        found: KeyPath = ()
        for i, part in enumerate(path):
            found = (*found, part)
            if i < len(path) - 1 and found in self._tables:
                found = (*found, str(self._tables[found]))
        return found

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while self._at < len(self._tokens):
            kind, word, _ = self._tokens[self._at]
            if kind == "text":
                parts.append(word[1:-1])
            elif kind == "bare":
                parts.append(word)
            elif word != ".":
                break
            self._at += 1
        return tuple(parts)

    def _mark(self, path: KeyPath, line: int) -> None:
        for depth in range(1, len(path) + 1):
            self.lines.setdefault(path[:depth], line)

    def _pair(self, table: KeyPath) -> None:
        line = self._tokens[self._at][2]
        path = (*table, *self._key())
        self._mark(path, line)
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self._peek()
        if opening not in ("[", "{"):
            while self._at < len(self._tokens) and self._peek() not in (",", "]", "}", "\n"):
                self._at += 1
            return
        closing = "]" if opening == "[" else "}"
        self._at += 1
        number = 0
        while self._at < len(self._tokens) and (mark := self._peek()) != closing:
            if mark in (",", "\n"):
                self._at += 1
            elif opening == "[":
                self.lines[(*path, str(number))] = self._tokens[self._at][2]
                self._value((*path, str(number)))
                number += 1
            else:
                self._pair(path)
        self._at += 1
