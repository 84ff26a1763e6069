from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from kedge.core.errors import Invalid
from kedge.core.evaluation import Outcome
from kedge.evaluate.compare import Question, compare


def scores(values: Iterable[float]) -> dict[str, float]:
    return {f"c{i}": float(value) for i, value in enumerate(values)}


def ones(right: int, n: int) -> dict[str, float]:
    return scores([1.0] * right + [0.0] * (n - right))


def test_a_clearly_better_b_passes() -> None:
    found = compare(ones(50, 100), ones(80, 100), Question())

    assert (found.verdict, found.test, found.n, found.needed) == (Outcome.PASS, "exact McNemar", 100, 0)
    assert found.difference == pytest.approx(0.3)
    assert found.interval[0] > 0
    assert found.p < 1e-6


def test_a_clearly_worse_b_fails() -> None:
    assert compare(ones(80, 100), ones(50, 100), Question()).verdict is Outcome.FAIL


def test_too_few_cases_leave_it_undecided_and_say_how_many_are_needed() -> None:
    found = compare(ones(27, 60), ones(29, 60), Question())

    assert found.verdict is Outcome.UNDECIDED
    assert found.needed > 60
    assert found.visible > found.difference


def test_five_for_nothing_is_not_enough_and_six_is() -> None:
    assert compare(ones(0, 5), ones(5, 5), Question()).verdict is Outcome.UNDECIDED
    assert compare(ones(0, 6), ones(6, 6), Question()).verdict is Outcome.PASS


def test_equal_answerers_are_undecided() -> None:
    found = compare(ones(5, 10), ones(5, 10), Question())

    assert (found.verdict, found.difference, found.p) == (Outcome.UNDECIDED, 0.0, 1.0)


def test_graded_scores_are_compared_by_sign_flips() -> None:
    random = np.random.default_rng(1)
    a = random.uniform(0, 1, 200)

    found = compare(scores(a), scores(a + random.normal(0.05, 0.1, 200)), Question())

    assert (found.verdict, found.test) == (Outcome.PASS, "sign flips")
    assert found.interval[0] < found.difference < found.interval[1]


def test_smaller_is_better_where_that_is_said() -> None:
    random = np.random.default_rng(2)
    a = random.uniform(1, 2, 100)

    found = compare(scores(a), scores(a - random.uniform(0.1, 0.2, 100)), Question(lower=True))

    assert found.verdict is Outcome.PASS
    assert found.difference < 0


def test_no_worse_by_a_margin_can_pass_where_better_cannot() -> None:
    a, b = ones(800, 1000), ones(798, 1000)

    assert compare(a, b, Question()).verdict is Outcome.UNDECIDED
    assert compare(a, b, Question(margin=-0.02)).verdict is Outcome.PASS


def test_cases_of_one_group_do_not_count_as_many() -> None:
    a = {f"{g}-{i}": 0.0 for g in range(5) for i in range(40)}
    b = {f"{g}-{i}": float(g > 0) for g in range(5) for i in range(40)}
    groups = {case: case.split("-")[0] for case in a}

    assert compare(a, b, Question()).verdict is Outcome.PASS
    together = compare(a, b, Question(), groups=groups)
    assert (together.verdict, together.groups) == (Outcome.UNDECIDED, 5)


def test_cases_are_paired_by_id_and_the_rest_is_counted() -> None:
    a, b = {"x": 1.0, "y": 0.0, "z": 1.0}, {"y": 1.0, "x": 1.0, "w": 0.0}

    found = compare(a, b, Question())

    assert (found.n, found.only_a, found.only_b, found.difference) == (2, 1, 1, 0.5)


def test_without_a_shared_case_there_is_nothing_to_compare() -> None:
    with pytest.raises(Invalid, match="no case in common"):
        compare({"x": 1.0}, {"y": 1.0}, Question())


def test_an_impossible_alpha_is_refused() -> None:
    with pytest.raises(Invalid, match="alpha"):
        Question(alpha=0.0)


def test_equals_are_promoted_at_most_as_often_as_alpha_says() -> None:
    random = np.random.default_rng(3)
    passed = sum(
        compare(scores(random.choice([0.0, 1.0], 80)), scores(random.choice([0.0, 1.0], 80)), Question()).verdict
        is Outcome.PASS
        for _ in range(400)
    )

    assert passed / 400 <= 0.05


def test_graded_equals_are_promoted_at_most_as_often_as_alpha_says() -> None:
    random = np.random.default_rng(4)
    passed = 0
    for _ in range(120):
        a = random.uniform(0, 1, 40)
        passed += compare(scores(a), scores(a + random.laplace(0, 0.2, 40)), Question()).verdict is Outcome.PASS

    assert passed / 120 <= 0.05
