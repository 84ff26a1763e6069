"""Scores of an answer as a number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from kedge.core.errors import Invalid
from kedge.evaluate.types import Case, Scorer

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?")


def numeric(*, tolerance: float = 0.0, relative: float = 0.0, take: str = "last") -> Scorer:
    """1 if the answer's number is the target's, to within `tolerance` or that share of the target (`relative`).

    `take` is which number of the answer counts: `last` (after some reasoning), `first`, or `only` (the whole answer).
    """
    if take not in ("first", "last", "only"):
        raise Invalid(f"scorer numeric: take is first, last or only, not {take!r}")

    def score(case: Case) -> Mapping[str, float]:
        wanted = _number(case.row.target, "only")
        if wanted is None:
            raise Invalid(
                f"numeric: the target of row {case.row.id} is not a number: {case.row.target[:40]!r}",
                address=case.row.id,
                hint="use another scorer for this dataset",
            )
        said = _number(case.answer.text, take)
        near = said is not None and abs(said - wanted) <= max(tolerance, relative * abs(wanted))
        return {"numeric": float(near)}

    return Scorer(name="numeric", score=score, binary=True)


def _number(text: str, take: str) -> float | None:
    """The number in a text; 1,000.5 and 1e3 are numbers, and 12. at the end of a sentence is 12."""
    found = [match.group() for match in _NUMBER.finditer(text) if any(c.isdigit() for c in match.group())]
    if not found or (take == "only" and text.strip().lstrip("$€£").rstrip(".%") != found[0]):
        return None
    value = float(found[0 if take == "first" else -1].replace(",", ""))
    return value if math.isfinite(value) else None
