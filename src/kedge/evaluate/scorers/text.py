"""Scores of an answer as text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.scorers.normal import Normal
from kedge.evaluate.types import Case, Scorer


def exact_match(*, ignore: list[str] | None = None, also: str = "") -> Scorer:
    """1 if the answer is the target, but for white space around it and what is ignored: `case`, `punctuation`,
    `articles`, `spaces`, `unicode`. `also` is a column with a list of other right answers."""
    normal = make_normal("exact_match", ignore)

    def score(case: Case) -> Mapping[str, float]:
        answer = normal(case.answer.text)
        return {"exact_match": float(any(answer == normal(wanted) for wanted in wanted_of(case.row, also)))}

    return Scorer(name="exact_match", score=score, binary=True)


def token_f1(*, ignore: list[str] | None = None, also: str = "") -> Scorer:
    """The F1 of the answer's words against the target's, as SQuAD has it: case, punctuation and articles are ignored
    unless said otherwise. The best of several right answers counts."""
    normal = make_normal("token_f1", ["case", "punctuation", "articles"] if ignore is None else ignore)

    def score(case: Case) -> Mapping[str, float]:
        words = normal(case.answer.text).split()
        return {"token_f1": max(_f1(words, normal(wanted).split()) for wanted in wanted_of(case.row, also))}

    return Scorer(name="token_f1", score=score, bounds=(0.0, 1.0))


def contains(*, ignore: list[str] | None = None, also: str = "") -> Scorer:
    """1 if the target stands somewhere in the answer."""
    normal = make_normal("contains", ignore)

    def score(case: Case) -> Mapping[str, float]:
        answer = normal(case.answer.text)
        return {"contains": float(any(normal(wanted) in answer for wanted in wanted_of(case.row, also)))}

    return Scorer(name="contains", score=score, binary=True)


def regex(*, pattern: str, equals_target: bool = False) -> Scorer:
    """1 if the pattern is found in the answer; with `equals_target`, if what it finds (its first group, if it has one)
    is the target."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise Invalid(f"scorer regex: not a regular expression: {error}", address=pattern) from error

    def score(case: Case) -> Mapping[str, float]:
        found = compiled.search(case.answer.text)
        if found is None or not equals_target:
            return {"regex": float(found is not None)}
        said = found.group(1 if compiled.groups else 0) or ""
        return {"regex": float(said.strip() == case.row.target.strip())}

    return Scorer(name="regex", score=score, binary=True)


def make_normal(scorer: str, ignore: list[str] | None) -> Normal:
    """What a scorer ignores. `Invalid` names what can be."""
    try:
        return Normal(**dict.fromkeys(ignore or (), True))
    except TypeError as error:
        raise Invalid(
            f"scorer {scorer}: it cannot ignore {', '.join(map(str, ignore or ()))}",
            hint="it can ignore case, punctuation, articles, spaces, unicode",
        ) from error


def wanted_of(row: Row, also: str) -> list[str]:
    """The right answers to a row: its target, and those in the column `also`."""
    more: Any = row.tags.get(also, ()) if also else ()
    return [row.target, *([more] if isinstance(more, str) else [str(each) for each in more or ()])]


def _f1(answer: list[str], wanted: list[str]) -> float:
    if not answer or not wanted:
        return float(answer == wanted)
    common = sum((Counter(answer) & Counter(wanted)).values())
    return 2.0 * common / (len(answer) + len(wanted))
