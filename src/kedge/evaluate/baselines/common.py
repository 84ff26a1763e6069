"""Baselines that always say what is most common."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.types import Baseline

HEADER = r"\bdef\s+(\w+)"


def most_common() -> Baseline:
    """The most frequent target of the training rows, whatever is asked."""

    def answer(rows: Sequence[Row], inputs: Sequence[str]) -> list[str]:
        return [_most_common([row.target for row in rows])] * len(inputs)

    return answer


def most_common_args(*, pattern: str = HEADER) -> Baseline:
    """For call schemas: the name read from the header by a regular expression, with the most frequent argument list.

    It knows the form of the answer and copies the name without a mistake, so that only the arguments are left to learn.
    """
    try:
        name = re.compile(pattern)
    except re.error as error:
        raise Invalid(f"most_common_args: not a regular expression: {error}") from error

    def answer(rows: Sequence[Row], inputs: Sequence[str]) -> list[str]:
        arguments = json.loads(_most_common([_arguments(row) for row in rows]))
        return [_schema(name.search(text), arguments) for text in inputs]

    return answer


def _most_common(texts: Sequence[str]) -> str:
    """Of several equally frequent ones, the first in the alphabet."""
    if not texts:
        raise Invalid("a baseline learns from training rows, and there are none")
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))


def _arguments(row: Row) -> str:
    try:
        return json.dumps(msgspec.json.decode(row.target)["args"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Invalid(
            f"most_common_args: the target of row {row.id} is not a call schema",
            address=row.id,
            hint='it reads targets such as {"name": "f", "args": ["a"]}; choose another baseline',
        ) from error


def _schema(found: re.Match[str] | None, arguments: list[str]) -> str:
    return json.dumps({"name": found.group(found.lastindex or 0) if found else "", "args": arguments})
