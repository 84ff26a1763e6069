"""Agreement, and rates that are corrected by what people said."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from kedge.core.errors import Invalid
from kedge.evaluate.agreement import cohen_kappa, fleiss_kappa, kappa_interval, powered, rogan_gladen


def test_cohens_kappa_is_that_of_scikit_learn() -> None:
    drawn = np.random.default_rng(0)
    first = list(drawn.choice(["a", "b", "c"], 80))
    second = [label if drawn.random() < 0.6 else str(drawn.choice(["a", "b", "c"])) for label in first]

    found = kappa_interval(first, second)

    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    assert found.low < found.value < found.high
    assert cohen_kappa(["a", "a"], ["a", "a"]) == 1.0


def test_fleiss_kappa_is_that_of_his_own_example() -> None:
    """Fleiss 1971: 10 subjects, 14 raters, 5 categories; 0.210."""
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    ratings = [[str(label) for label, count in enumerate(row) for _ in range(count)] for row in table]

    assert fleiss_kappa(ratings) == pytest.approx(0.20993, abs=1e-4)


def test_unequal_numbers_of_labels_are_no_case_for_fleiss() -> None:
    with pytest.raises(Invalid):
        fleiss_kappa([["a", "b"], ["a"]])


def draw(
    seed: int, rate: float, *, sensitivity: float = 0.9, specificity: float = 0.75
) -> tuple[list[float], list[tuple[float, float]]]:
    """A judge's verdicts on 1,500 cases, and 150 of another draw that people labelled too."""
    drawn = np.random.default_rng(seed)
    true = drawn.random(1650) < rate
    judged = np.where(true, drawn.random(1650) < sensitivity, drawn.random(1650) < 1 - specificity).astype(float)
    pairs = [(float(j), float(t)) for j, t in zip(judged[1500:], true[1500:], strict=True)]
    return [float(each) for each in judged[:1500]], pairs


@pytest.mark.parametrize("correct", [rogan_gladen, powered])
def test_a_corrected_rate_covers_the_truth_where_the_judges_own_does_not(correct: object) -> None:
    held, naive = 0, 0
    for seed in range(200):
        judged, pairs = draw(seed, 0.6)
        found = correct(judged, pairs)  # type: ignore[operator]  # either correction
        held += found.corrected.low <= 0.6 <= found.corrected.high
        naive += abs(found.judged - 0.6) < 1.96 * (0.6 * 0.4 / 1500) ** 0.5
    assert held >= 182  # 95 % of 200 are 190, give or take 3 each
    assert naive < 150


def test_a_judge_makes_labels_more_certain_and_never_less() -> None:
    judged, pairs = draw(1, 0.6, sensitivity=0.97, specificity=0.97)
    alone = 1.96 * np.std([true for _, true in pairs], ddof=1) / len(pairs) ** 0.5
    good = powered(judged, pairs).corrected
    useless = powered([0.5] * 1500, [(0.5, true) for _, true in pairs]).corrected

    assert good.high - good.low < 0.8 * 2 * alone
    assert useless.high - useless.low == pytest.approx(2 * alone, rel=0.01)


def test_a_judge_no_better_than_chance_corrects_nothing() -> None:
    with pytest.raises(Invalid, match="chance"):
        rogan_gladen([1.0, 0.0], [(0.0, 1.0), (1.0, 0.0)])
    with pytest.raises(Invalid):
        rogan_gladen([1.0, 0.0], [(1.0, 1.0)])
