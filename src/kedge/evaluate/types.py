"""What the evaluating room works with: questions, answers, cases, scorers and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedge.core.dataset import Row
from kedge.core.evaluation import CaseResult, Evaluation
from kedge.core.generation import Finish, Likelihood
from kedge.core.ports import Progress

if TYPE_CHECKING:
    from kedge.statistics.intervals import Floats

MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an answerer is asked about one row: an `input` that the bundle wraps, the exact `prompt`, or `messages`."""

    row: Row
    input: str | None = None
    prompt: str | None = None
    messages: tuple[Mapping[str, str], ...] | None = None

    @property
    def text(self) -> str:
        """What is asked, as one text."""
        said = [message["content"] for message in self.messages or ()]
        return self.prompt or self.input or "\n".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answerer said to one row. `likelihood` is that of the row's target, where it was asked for.

    `confidence` is the probability of the answer as a whole, `seconds` how long the answer took alone (0: not measured).
    """

    text: str
    finish: Finish = "stop"
    tokens: int = 0
    error: str = ""
    likelihood: Likelihood | None = None
    prompt_tokens: int = 0
    confidence: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row with one answer to it, and what the other answerers said, by name."""

    row: Row
    answer: Answer
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """How a metric that is no mean of its cases is made: `tally` counts a case, `combine` turns the sums of counts into
    the metric, one number for each row of sums."""

    tally: Callable[[Case], Sequence[float]]
    combine: Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A metric: what each case scores, and how the scores become one number.

    `score` gives named scores; none at all where it has nothing to say, as of a baseline's likelihood. The number is
    the mean of the score called like the metric; with `total` and `per` it is the sum of the one score over the sum of
    the other, and with `exponent` e to the power of that; with `corpus` it is made from the counts of the cases.
    `binary`: a score is 0 or 1. `bounds`: what it can be at all. `lower`: smaller is better.

    `likelihood`: it reads the likelihood of the target, which costs a pass of the model; `confidence` that of the answer.
    `alone` cases are asked one at a time first, to be timed. `prepare` makes the scorer for the rows at hand, `many`
    scores all cases of an answerer at once (in place of `score`), and `describe` gives a table for the report.
    `everybody`: baselines are scored too.
    """

    name: str
    score: Callable[[Case], Mapping[str, float]]
    total: str = ""
    per: str = ""
    exponent: bool = False
    binary: bool = False
    bounds: tuple[float, float] | None = None
    likelihood: bool = False
    lower: bool = False
    confidence: bool = False
    alone: int = 0
    corpus: Corpus | None = None
    prepare: Callable[[Sequence[Row]], Scorer] | None = None
    many: Callable[[Sequence[Case]], Sequence[Mapping[str, float]]] | None = None
    describe: Callable[[Sequence[Case]], Any] | None = None
    everybody: bool = True

    @property
    def column(self) -> str:
        """The score whose mean or sum counts."""
        return self.total or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a scorer that asks others is given, when its maker has a parameter `means`: `secret` resolves a reference as
    `env:NAME`, `cache` is a folder where answers are kept."""

    secret: Callable[[str], str]
    cache: Path
    progress: Progress


Baseline = Callable[[Sequence[Row], Sequence[str]], Sequence[str]]
"""Answers inputs by what can be seen in the training rows alone: `(rows, inputs) -> answers`."""

ScorerMaker = Callable[..., Scorer | Sequence[Scorer]]
BaselineMaker = Callable[..., Baseline]
Perturbation = Callable[[str, str], str]
"""Changes an input: `(text, seed) -> text`; the same seed gives the same change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished evaluation with every case of every answerer."""

    evaluation: Evaluation
    cases: tuple[CaseResult, ...]
