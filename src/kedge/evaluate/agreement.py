"""How far raters agree, and what is left of a judge's rate when it is corrected by what people said.

Two raters: Cohen's kappa (1960, Educational and Psychological Measurement 20). More, each case by as many: Fleiss' kappa
(1971, Psychological Bulletin 76). A judge's rate, where people labelled some of the cases: Rogan and Gladen (1978, American
Journal of Epidemiology 107) with the interval of Lang and Reiczigel (2014, Preventive Veterinary Medicine 113) for judges
that say yes or no, and prediction-powered inference (Angelopoulos et al. 2023, Science 382; with the weight of "PPI++",
Angelopoulos, Duchi and Zrnic 2023) for any score.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kedge.core.errors import Invalid
from kedge.core.evaluation import Interval
from kedge.statistics.intervals import LEVEL, SEED, Floats, normal_quantile, resamples


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A judge's rate on all cases, and what it is when corrected by labelled ones. `method` says how, `sensitivity` and
    `specificity` how the judge did on those (None for scores that are not yes or no)."""

    judged: float
    corrected: Interval
    method: str
    labelled: int
    cases: int
    sensitivity: float | None = None
    specificity: float | None = None


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """The agreement of two raters beyond chance: 1 is perfect, 0 what chance would give. 1 if nobody ever differed and
    there was but one label."""
    n = len(first)
    if n == 0 or n != len(second):
        raise Invalid("kappa needs at least one case that both raters labelled")
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / n
    one, other = Counter(first), Counter(second)
    chance = sum(one[label] * other[label] for label in one) / n**2
    return 1.0 if chance == 1.0 else (seen - chance) / (1.0 - chance)


def fleiss_kappa(ratings: Sequence[Sequence[str]]) -> float:
    """The agreement of several raters beyond chance; every case has as many labels, at least two, of whatever raters."""
    raters = {len(labels) for labels in ratings}
    if len(raters) != 1 or min(raters) < 2:
        raise Invalid("Fleiss' kappa needs cases with one and the same number of labels, at least two")
    m, n = raters.pop(), len(ratings)
    labels = sorted({label for case in ratings for label in case})
    counts = np.array([[case.count(label) for label in labels] for case in map(list, ratings)], dtype=np.float64)
    seen = float((((counts**2).sum(axis=1) - m) / (m * (m - 1))).mean())
    chance = float(((counts.sum(axis=0) / (n * m)) ** 2).sum())
    return 1.0 if chance == 1.0 else (seen - chance) / (1.0 - chance)


def kappa_interval(first: Sequence[str], second: Sequence[str], *, level: float = LEVEL) -> Interval:
    """Cohen's kappa with its percentile bootstrap interval over cases."""
    value = cohen_kappa(first, second)
    labels = sorted({*first, *second})
    place = {label: at for at, label in enumerate(labels)}
    k = len(labels)
    cells = np.zeros((len(first), k * k))
    for row, (a, b) in enumerate(zip(first, second, strict=True)):
        cells[row, place[a] * k + place[b]] = 1.0
    drawn = np.concatenate([_kappas(weights @ cells, k) for weights in resamples(len(first), SEED)])
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value), level=level)


def rogan_gladen(judged: Sequence[float], pairs: Sequence[tuple[float, float]], *, level: float = LEVEL) -> Corrected:
    """The true rate behind a judge that says 1 or 0: from what it says of all cases, and (judge, human) of labelled ones.

    `Invalid` if people never said one of the two, or the judge is no better than chance: then nothing can be corrected.
    """
    right = [says for says, true in pairs if true == 1.0]
    wrong = [says for says, true in pairs if true == 0.0]
    if not right or not wrong:
        raise Invalid("to correct a judge, people must have called some answers right and some wrong")
    n, m1, m0 = len(judged), len(right), len(wrong)
    q, sensitivity, specificity = sum(judged) / n, sum(right) / m1, 1.0 - sum(wrong) / m0
    if sensitivity + specificity <= 1.0:
        raise Invalid(
            "the judge agrees with people no more than chance would",
            hint="write a better rubric, take another judge, or label more cases",
        )
    z = normal_quantile(level)
    n_, q_ = n + z * z, (n * q + z * z / 2) / (n + z * z)
    se_, sp_ = (m1 * sensitivity + 1) / (m1 + 2), (m0 * specificity + 1) / (m0 + 2)
    power = max(se_ + sp_ - 1, 1e-6)
    rate = (q_ + sp_ - 1) / power
    shift = 2 * z * z * (rate * se_ * (1 - se_) / (m1 + 2) - (1 - rate) * sp_ * (1 - sp_) / (m0 + 2))
    spread = q_ * (1 - q_) / n_ + rate**2 * se_ * (1 - se_) / (m1 + 2) + (1 - rate) ** 2 * sp_ * (1 - sp_) / (m0 + 2)
    half = z * math.sqrt(spread) / power
    value = _share((q + specificity - 1) / (sensitivity + specificity - 1))
    low, high = _share(rate + shift - half), _share(rate + shift + half)
    return Corrected(
        judged=q,
        corrected=Interval(value=value, low=min(low, value), high=max(high, value), level=level),
        method="Rogan-Gladen",
        labelled=len(pairs),
        cases=n,
        sensitivity=sensitivity,
        specificity=specificity,
    )


def powered(judged: Sequence[float], pairs: Sequence[tuple[float, float]], *, level: float = LEVEL) -> Corrected:
    """The mean that people would give to all cases, from a judge's scores of all and (judge, human) of some, drawn at
    random. It is never less certain than the labels alone."""
    if len(pairs) < 2 or not judged:
        raise Invalid("to correct a judge, people must have labelled at least two cases")
    says, true = (np.array([pair[side] for pair in pairs], dtype=np.float64) for side in (0, 1))
    all_ = np.asarray(judged, dtype=np.float64)
    n, total = len(pairs), len(all_)
    variance = float(np.concatenate([says, all_]).var())
    covariance = float(((says - says.mean()) * (true - true.mean())).sum() / (n - 1))
    weight = min(1.0, max(0.0, covariance / ((1 + n / total) * variance))) if variance > 0 else 0.0
    value = float(true.mean() + weight * (all_.mean() - says.mean()))
    error = math.sqrt(weight**2 * float(all_.var()) / total + float((true - weight * says).var(ddof=1)) / n)
    half = normal_quantile(level) * error
    return Corrected(
        judged=float(all_.mean()),
        corrected=Interval(value=value, low=value - half, high=value + half, level=level),
        method="prediction-powered",
        labelled=n,
        cases=total,
    )


def _kappas(cells: Floats, k: int) -> Floats:
    table = cells.reshape(-1, k, k) / np.maximum(cells.sum(axis=1), 1.0)[:, None, None]
    seen = np.trace(table, axis1=1, axis2=2)
    chance = (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1)
    same = chance >= 1.0 - 1e-12
    kappas: Floats = np.where(same, 1.0, (seen - chance) / np.where(same, 1.0, 1.0 - chance))
    return kappas


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
