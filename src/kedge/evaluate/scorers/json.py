"""Scores of an answer as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kedge.core.errors import Invalid
from kedge.evaluate.types import Case, Scorer

_NOT_JSON = object()


def valid_json() -> Scorer:
    """1 if the answer is one JSON value and nothing else."""

    def score(case: Case) -> Mapping[str, float]:
        return {"valid_json": float(_parse(case.answer.text) is not _NOT_JSON)}

    return Scorer(name="valid_json", score=score, binary=True)


def json_field(*, field: str, name: str = "") -> Scorer:
    """1 if the answer is a JSON object whose `field` equals the target's."""
    metric = name or f"json_{field}"

    def score(case: Case) -> Mapping[str, float]:
        target = _parse(case.row.target)
        if not isinstance(target, dict) or field not in target:
            raise Invalid(
                f"{metric}: the target of row {case.row.id} is not a JSON object with a field {field!r}",
                address=case.row.id,
                hint="use another scorer for this dataset",
            )
        answer = _parse(case.answer.text)
        equal = isinstance(answer, dict) and field in answer and same_json(answer[field], target[field])
        return {metric: float(equal)}

    return Scorer(name=metric, score=score, binary=True)


def json_name() -> Scorer:
    """1 if the answer's `name` is the target's."""
    return json_field(field="name")


def json_args() -> Scorer:
    """1 if the answer's `args` are the target's, in the same order."""
    return json_field(field="args")


def parse_json(text: str) -> tuple[bool, Any]:
    """Whether a text is one JSON value, and the value."""
    value = _parse(text)
    return value is not _NOT_JSON, value


def _parse(text: str) -> Any:
    try:
        return msgspec.json.decode(text.strip())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return _NOT_JSON


def same_json(one: Any, other: Any) -> bool:
    """Equal as JSON: `true` is not 1, and the order of keys does not matter."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same_json(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    return bool(one == other)
