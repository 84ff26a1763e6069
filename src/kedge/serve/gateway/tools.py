"""Tools: what callers offer a model, and the calls found in what it says.

A model calls tools as its chat template taught it: between `<tool_call>` and `</tool_call>`, or, where the template
knows no such sign, by an answer that is nothing but a JSON object (or a list of them). A call is an object with a
`name` and, under `arguments` or `parameters`, an object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from kedge.serve.gateway.errors import invalid

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_SIGNS = ("{", "[")

Name = Annotated[str, msgspec.Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class Function(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What can be called. `strict` has the arguments obey the parameters; they do where a choice is forced."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool of a request."""

    type: Literal["function"]
    function: Function


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name in `tool_choice`."""

    name: str


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tool_choice` that names a function."""

    type: Literal["function"]
    function: Chosen


Choosing = Literal["none", "auto", "required"] | Choice


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a model made; `arguments` is JSON."""

    name: str
    arguments: str


class _Said(msgspec.Struct, frozen=True):
    name: str
    arguments: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None


_one = msgspec.json.Decoder(_Said)
_several = msgspec.json.Decoder(list[_Said] | _Said)


def offered(tools: Sequence[Tool], choice: Choosing | None) -> list[dict[str, Any]]:
    """The tools as a chat template takes them; none if the caller wants no call."""
    return [] if choice == "none" else [msgspec.to_builtins(tool) for tool in tools]


def forced(tools: Sequence[Tool], choice: Choosing | None) -> str:
    """The JSON schema of the call that the caller insists on ("" for none). 400 if it names no tool of the request."""
    if choice in (None, "none", "auto"):
        return ""
    named = [t.function for t in tools if not isinstance(choice, Choice) or t.function.name == choice.function.name]
    if not named:
        raise invalid("'tool_choice' names no tool of this request", param="tool_choice", code="invalid_value")
    calls = [_schema(function) for function in named]
    return msgspec.json.encode(calls[0] if len(calls) == 1 else {"anyOf": calls}).decode()


def _schema(function: Function) -> dict[str, Any]:
    properties = {"name": {"const": function.name}, "arguments": function.parameters or {"type": "object"}}
    return {
        "type": "object",
        "properties": properties,
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def calls_in(text: str, names: frozenset[str]) -> tuple[str, list[Call]]:
    """What is said beside calls, and the calls of these tools. What only looks like one stays text."""
    if _OPEN in text:
        beside, calls = _signed(text)
    else:
        beside, calls = "", _plain(text)
    if not calls or any(call.name not in names for call in calls):
        return text, []
    return beside, calls


def may_be_call(text: str) -> bool:
    """Whether an answer that begins so may turn out to be a call, so that it cannot be passed on yet."""
    start = text.lstrip()
    return not start or start.startswith((*_SIGNS, _OPEN)) or _OPEN.startswith(start)


def cut_at_call(text: str) -> int:
    """How much of a text that does not begin with a call can be passed on: up to a sign that one follows."""
    at = text.find(_OPEN)
    if at >= 0:
        return at
    longest = min(len(_OPEN) - 1, len(text))
    return len(text) - next((n for n in range(longest, 0, -1) if text.endswith(_OPEN[:n])), 0)


def _signed(text: str) -> tuple[str, list[Call]]:
    beside, *rest = text.split(_OPEN)
    parts = [part.partition(_CLOSE) for part in rest]
    calls = [_read(part[0], _one) for part in parts]
    if any(call is None for call in calls):
        return text, []
    beside += "".join(after for _, _, after in parts)
    return beside.strip(), [call for found in calls if found for call in found]


def _plain(text: str) -> list[Call]:
    return _read(text, _several) or [] if text.lstrip().startswith(_SIGNS) else []


def _read(text: str, decoder: msgspec.json.Decoder[Any]) -> list[Call] | None:
    try:
        said = decoder.decode(text.strip())
    except (msgspec.MsgspecError, RecursionError):
        return None
    return list(_calls(said if isinstance(said, list) else [said]))


def _calls(said: Sequence[_Said]) -> Iterator[Call]:
    for one in said:
        arguments: Mapping[str, Any] = one.arguments or one.parameters or {}
        yield Call(name=one.name, arguments=msgspec.json.encode(arguments).decode())
