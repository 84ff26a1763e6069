"""What a dataset promises of its rows: rules a row must keep, and counts the whole must have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kedge.core.errors import Invalid

Kind = Literal["", "string", "integer", "number", "boolean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """What holds of `input`, `target` or a tag. Lengths are in characters; `matches` is a regular expression for the
    whole value; `json` says that it is a JSON document. A tag that is not `required` may be absent."""

    type: Kind = ""
    required: bool = True
    min_chars: int = 0
    max_chars: int = 0
    min: float | None = None
    max: float | None = None
    one_of: tuple[str | int | float | bool, ...] = ()
    matches: str = ""
    json: bool = False

    def __post_init__(self) -> None:
        try:
            re.compile(self.matches)
        except re.error as error:
            raise Invalid(f"contract: {self.matches!r} is not a regular expression: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractOptions:
    """`columns` has a rule for `input`, `target` or a tag by its name. `action` is what a broken rule does: `fail` ends
    the build and names the rows, `drop` rejects them. `min_rows` and `max_rejected` (a share) hold of the whole."""

    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    action: Literal["fail", "drop"] = "fail"
    min_rows: int = 0
    max_rejected: float = 1.0

    def broken_by(self, rows: int, rejected: int) -> list[str]:
        """What does not hold of so many rows, with so many left out."""
        broken = [f"{rows:,} rows; the least is {self.min_rows:,}"] if rows < self.min_rows else []
        share = rejected / max(1, rows + rejected)
        if share > self.max_rejected:
            broken.append(f"{share:.1%} of the rows are left out; the most is {self.max_rejected:.1%}")
        return broken
