"""Scores of an answer as calls of tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kedge.core.errors import Invalid
from kedge.evaluate.scorers.json import parse_json, same_json
from kedge.evaluate.types import Case, Scorer

_FENCE = re.compile(r"<tool_call>(.*?)</tool_call>|```(?:json)?\s*\n(.*?)```", re.DOTALL)


def tool_call(*, order: bool = True) -> list[Scorer]:
    """`tool_name`: the right tools are called; `tool_call`: with the right arguments too.

    An answer is a call `{"name": ..., "arguments": {...}}`, a list of them, OpenAI's `{"tool_calls": [...]}`, or such
    JSON inside `<tool_call>` tags or a fence. Without `order`, calls may come in any order.
    """

    def scores(case: Case) -> tuple[bool, bool]:
        wanted = read_calls(case.row.target)
        if wanted is None:
            raise Invalid(
                f"tool_call: the target of row {case.row.id} is no call of a tool",
                address=case.row.id,
                hint='a target is {"name": "f", "arguments": {"a": 1}}, or a list of such',
            )
        said = read_calls(case.answer.text)
        if said is None or len(said) != len(wanted):
            return False, False
        if not order:
            said, wanted = sorted(said, key=_key), sorted(wanted, key=_key)
        names = all(a["name"] == b["name"] for a, b in zip(said, wanted, strict=True))
        return names, names and same_json(said, wanted)

    return [
        Scorer(name="tool_call", score=lambda case: {"tool_call": float(scores(case)[1])}, binary=True),
        Scorer(name="tool_name", score=lambda case: {"tool_name": float(scores(case)[0])}, binary=True),
    ]


def read_calls(text: str) -> list[dict[str, Any]] | None:
    """The calls in a text, each with name and arguments; None where there are none, or where one is broken."""
    inside = ["".join(groups) for groups in _FENCE.findall(text)]
    calls: list[dict[str, Any]] = []
    for part in inside or [text]:
        found, value = parse_json(part)
        read = _read(value) if found else None
        if read is None:
            return None
        calls += read
    return calls or None


def _read(value: Any) -> list[dict[str, Any]] | None:
    if isinstance(value, Mapping) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    calls = [_call(each) for each in (value if isinstance(value, list) else [value])]
    return None if None in calls else [call for call in calls if call is not None]


def _call(value: Any) -> dict[str, Any] | None:
    if isinstance(value, Mapping) and isinstance(value.get("function"), Mapping):
        value = value["function"]
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("args", value.get("parameters", {})))
    if isinstance(arguments, str):  # OpenAI writes them as text
        found, arguments = parse_json(arguments)
        if not found:
            return None
    return {"name": value["name"], "arguments": arguments}


def _key(call: Mapping[str, Any]) -> tuple[str, str]:
    return call["name"], str(sorted(call["arguments"].items()) if isinstance(call["arguments"], dict) else call)
