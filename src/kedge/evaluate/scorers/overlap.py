"""BLEU, chrF and TER, by sacrebleu: a score a case, and the corpus metric with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER

from kedge.evaluate.types import Case, Corpus, Scorer
from kedge.statistics.intervals import Floats

_CASES = 100_000  # whose counts serve their own score and the corpus's


def bleu(*, tokenize: str = "13a", lowercase: bool = False) -> Scorer:
    """Corpus BLEU (Papineni et al. 2002); a case's score is sentence BLEU with effective order."""
    corpus = BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    sentence = BLEU(tokenize=tokenize, lowercase=lowercase, force=True, effective_order=True)
    return _make("bleu", corpus, sentence, combine_bleu)


def chrf(*, word_order: int = 0, char_order: int = 6, beta: int = 2) -> Scorer:
    """Corpus chrF (Popovic 2015), or chrF++ with `word_order = 2`."""
    metric = CHRF(word_order=word_order, char_order=char_order, beta=beta)
    return _make("chrf", metric, metric, lambda sums: combine_chrf(sums, beta=beta))


def ter(*, normalized: bool = False, case_sensitive: bool = False) -> Scorer:
    """Translation edit rate in per cent (Snover et al. 2006); smaller is better, and it may exceed 100."""
    metric = TER(normalized=normalized, case_sensitive=case_sensitive)
    return _make("ter", metric, metric, combine_ter, lower=True)


def _make(name: str, corpus: Any, sentence: Any, combine: Callable[[Floats], Floats], *, lower: bool = False) -> Scorer:
    @lru_cache(_CASES)
    def count(answer: str, target: str) -> list[float]:
        counts: list[float] = corpus._extract_corpus_statistics([answer], [[target]])[0]
        return counts

    def score(case: Case) -> Mapping[str, float]:
        counts = count(case.answer.text, case.row.target)
        return {name: round(float(sentence._compute_score_from_stats(counts).score), 9)}

    def tally(case: Case) -> list[float]:
        return count(case.answer.text, case.row.target)

    bounds = None if lower else (0.0, 100.0)
    return Scorer(name=name, score=score, corpus=Corpus(tally=tally, combine=combine), bounds=bounds, lower=lower)


def combine_bleu(sums: Floats) -> Floats:
    """BLEU from [answer's length, target's length, 4 counts of matches, 4 totals], exponential smoothing."""
    said, wanted, right, total = sums[:, 0], sums[:, 1], sums[:, 2:6], sums[:, 6:10]
    brevity = np.exp(np.minimum(0.0, 1.0 - wanted / np.maximum(said, 1.0))) * (said > 0)
    logs = np.zeros(len(sums))
    halving = np.ones(len(sums))
    for order in range(right.shape[1]):
        none = right[:, order] == 0
        halving = np.where(none, halving * 2, halving)
        top = np.where(none, 1.0 / halving, right[:, order])
        logs += np.log(100.0 * top / np.maximum(total[:, order], 1.0))
    defined = right.any(axis=1) & (total > 0).all(axis=1)
    scores: Floats = np.where(defined, brevity * np.exp(logs / right.shape[1]), 0.0)
    return scores


def combine_chrf(sums: Floats, *, beta: int = 2) -> Floats:
    """chrF from [answer's, target's, common] counts of each order; orders that one side lacks are left out."""
    said, wanted, both = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    present = (said > 0) & (wanted > 0)
    orders = np.maximum(present.sum(axis=1), 1)
    precision = np.divide(both, said, out=np.zeros_like(both), where=present).sum(axis=1) / orders
    recall = np.divide(both, wanted, out=np.zeros_like(both), where=present).sum(axis=1) / orders
    below = beta**2 * precision + recall
    scores: Floats = 100 * np.divide(
        (1 + beta**2) * precision * recall, below, out=np.zeros_like(below), where=below > 0
    )
    return scores


def combine_ter(sums: Floats) -> Floats:
    """TER from [edits, target's length]."""
    edits, wanted = sums[:, 0], sums[:, 1]
    none = np.where(edits > 0, 1.0, 0.0)
    scores: Floats = 100 * np.divide(edits, wanted, out=none, where=wanted > 0)
    return scores
