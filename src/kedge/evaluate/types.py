"""What the evaluating room works with: answers, cases, scorers and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kedge.core.dataset import Row
from kedge.core.evaluation import CaseResult, Evaluation
from kedge.core.generation import Finish, Likelihood

MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answerer said to one row. `likelihood` is that of the row's target, where it was asked for."""

    text: str
    finish: Finish = "stop"
    tokens: int = 0
    error: str = ""
    likelihood: Likelihood | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row with one answer to it."""

    row: Row
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A metric: what each case scores, and how the scores become one number.

    `score` gives named scores; none at all where it has nothing to say, as of a baseline's likelihood. The number is
    the mean of the score called like the metric; with `total` and `per` it is the sum of the one score over the sum of
    the other, and with `exponent` e to the power of that. `binary`: a score is 0 or 1. `bounds`: what it can be at all.
    `likelihood`: it reads the likelihood of the target, which costs a pass of the model.
    """

    name: str
    score: Callable[[Case], Mapping[str, float]]
    total: str = ""
    per: str = ""
    exponent: bool = False
    binary: bool = False
    bounds: tuple[float, float] | None = None
    likelihood: bool = False

    @property
    def column(self) -> str:
        """The score whose mean or sum counts."""
        return self.total or self.name


Baseline = Callable[[Sequence[Row], Sequence[str]], Sequence[str]]
"""Answers inputs by what can be seen in the training rows alone: `(rows, inputs) -> answers`."""

ScorerMaker = Callable[..., Scorer]
BaselineMaker = Callable[..., Baseline]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished evaluation with every case of every answerer."""

    evaluation: Evaluation
    cases: tuple[CaseResult, ...]
