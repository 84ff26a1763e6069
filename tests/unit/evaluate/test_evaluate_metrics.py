"""Every scorer, held against the implementation that published results use."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF, TER
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.evaluation import Evaluation
from kedge.evaluate.corpus import corpus_interval
from kedge.evaluate.run import Task, evaluate
from kedge.evaluate.scorers.calibration import calibration
from kedge.evaluate.scorers.labels import classification
from kedge.evaluate.scorers.number import numeric
from kedge.evaluate.scorers.overlap import bleu, chrf, combine_bleu, combine_chrf, ter
from kedge.evaluate.scorers.rouge import rouge
from kedge.evaluate.scorers.schema import json_schema
from kedge.evaluate.scorers.text import contains, exact_match, regex, token_f1
from kedge.evaluate.scorers.tools import tool_call
from kedge.evaluate.scorers.usage import cost, latency
from kedge.evaluate.types import MODEL, Answer, Case, Report, Scorer

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "quickly,",
    "ran.",
    "away!",
    "größe",
    "naïve",
    "12",
    "3,000",
    "of",
    "in",
]


def sentences(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Answers and targets that share much, with an empty one among them."""
    drawn = random.Random(seed)
    targets = [" ".join(drawn.choices(WORDS, k=drawn.randint(2, 14))) for _ in range(count)]
    answers = [" ".join(w for w in target.split() if drawn.random() < 0.8) for target in targets]
    return ["", *answers[1:]], targets


def score(
    scorers: Sequence[Scorer], answers: Sequence[str | Answer], targets: Sequence[str], **tags: Sequence[Any]
) -> Report:
    rows = [
        Row(id=f"{i:05d}", input="q", target=target, source="s", tags={name: tags[name][i] for name in tags})
        for i, target in enumerate(targets)
    ]
    said = [answer if isinstance(answer, Answer) else Answer(text=answer) for answer in answers]
    task = Task(bundle="b", dataset="d", rows=rows, scorers=scorers, slicer=lambda row: ())
    return evaluate(task, {MODEL: said})


def value(report: Report, metric: str) -> float:
    found = report.evaluation.find(metric)
    assert found is not None
    assert found.interval.low <= found.interval.value <= found.interval.high
    return found.interval.value


def one(scorer: Scorer, answer: str, target: str, **tags: Any) -> float:
    row = Row(id="r", input="q", target=target, source="s", tags=tags)
    return scorer.score(Case(row=row, answer=Answer(text=answer)))[scorer.name]


def test_translation_metrics_are_those_of_sacrebleu_on_the_corpus_and_on_each_case() -> None:
    answers, targets = sentences(60)

    report = score([bleu(), chrf(), chrf_plus(), ter()], answers, targets)

    for name, metric, sentence in (
        ("bleu", BLEU(), BLEU(effective_order=True)),
        ("chrf", CHRF(), CHRF()),
        ("chrf_plus", CHRF(word_order=2), CHRF(word_order=2)),
        ("ter", TER(), TER()),
    ):
        assert value(report, name) == pytest.approx(metric.corpus_score(answers, [targets]).score, abs=1e-6)
        for case, answer, target in zip(report.cases, answers, targets, strict=True):
            assert case.scores[name] == pytest.approx(sentence.sentence_score(answer, [target]).score, abs=1e-6)
    assert report.evaluation.lower == ("ter",)


def chrf_plus() -> Scorer:
    from dataclasses import replace

    made = chrf(word_order=2)
    return replace(
        made,
        name="chrf_plus",
        score=lambda case: {"chrf_plus": made.score(case)["chrf"]},
    )


@pytest.mark.parametrize("seed", range(20))
def test_sums_of_counts_give_what_sacrebleu_computes_from_them(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    total = np.sort(drawn.integers(0 if seed < 3 else 1, 40, 4))[::-1]
    right = np.minimum(drawn.integers(0, 30, 4), total)
    lengths = drawn.integers(1, 60, 2)
    expected = BLEU.compute_bleu(
        [int(x) for x in right], [int(x) for x in total], int(lengths[0]), int(lengths[1]), smooth_method="exp"
    ).score
    sums = np.array([[*lengths, *right, *total]], dtype=np.float64)
    assert combine_bleu(sums)[0] == pytest.approx(expected, abs=1e-9)

    counts = drawn.integers(0, 9, 18)
    counts[2::3] = np.minimum(counts[0::3], counts[1::3])
    expected = CHRF()._compute_f_score([int(x) for x in counts])
    assert combine_chrf(counts[None, :].astype(np.float64))[0] == pytest.approx(expected, abs=1e-9)


def test_rouge_is_that_of_rouge_score() -> None:
    answers, targets = sentences(40, seed=1)
    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]

    report = score(rouge(kinds=kinds, stemmer=True), answers, targets)

    public = RougeScorer(kinds, use_stemmer=True)
    for case, answer, target in zip(report.cases, answers, targets, strict=True):
        expected = public.score(target, answer)
        assert case.scores == pytest.approx({kind: expected[kind].fmeasure for kind in kinds})


def test_classification_is_that_of_scikit_learn_with_its_confusion_matrix() -> None:
    drawn = random.Random(3)
    labels = ["red", "green", "blue"]
    targets = drawn.choices(labels, weights=[6, 3, 1], k=80)
    answers = [target if drawn.random() < 0.7 else drawn.choice([*labels, "grey"]) for target in targets]

    report = score(classification(), [f" {answer.upper()} " for answer in answers], targets)

    assert value(report, "accuracy") == pytest.approx(accuracy_score(targets, answers))
    known = {"labels": labels, "zero_division": 0}
    assert value(report, "macro_f1") == pytest.approx(f1_score(targets, answers, average="macro", **known))
    assert value(report, "micro_f1") == pytest.approx(f1_score(targets, answers, average="micro", **known))
    table = report.evaluation.detail["accuracy"]
    assert table["labels"] == ["blue", "green", "red", "(other)"]
    expected = confusion_matrix(targets, answers, labels=["blue", "green", "red", "grey"])
    assert table["counts"] == expected.tolist()


def test_targets_that_are_no_labels_are_a_mistake_of_the_user() -> None:
    with pytest.raises(Invalid, match="not labels"):
        score(classification(), ["x"] * 1001, [str(i) for i in range(1001)])


def test_the_interval_of_a_corpus_metric_covers_it() -> None:
    """The ratio of two sums, whose truth is known: 95 of 100 intervals hold it, give or take."""
    drawn = np.random.default_rng(5)
    held = 0
    for _ in range(100):
        sizes = drawn.integers(1, 10, 60).astype(float)
        right = drawn.binomial(sizes.astype(int), 0.6).astype(float)
        interval = corpus_interval(np.stack([right, sizes], axis=1), lambda sums: sums[:, 0] / sums[:, 1])
        held += interval.low <= 0.6 <= interval.high
    assert 88 <= held <= 100


def test_a_metric_that_never_varied_still_has_an_interval() -> None:
    report = score([bleu()], ["the cat sat on the mat"] * 12, ["the cat sat on the mat"] * 12)

    found = report.evaluation.find("bleu")
    assert found is not None
    assert found.interval.value == pytest.approx(100.0)
    assert 70 < found.interval.low < 80


@pytest.mark.parametrize(
    ("ignore", "answer", "same"),
    [
        ([], " Paris ", True),
        ([], "paris", False),
        (["case"], "PARIS", True),
        (["case", "punctuation", "articles"], "the Paris!", True),
        (["unicode"], "\uff30\uff41\uff52\uff49\uff53", True),
        (["spaces"], "Pa  ris", False),
    ],
)
def test_exact_match_ignores_what_it_is_told_to(ignore: list[str], answer: str, same: bool) -> None:
    assert one(exact_match(ignore=ignore), answer, "Paris") == float(same)


def test_a_row_may_have_several_right_answers() -> None:
    assert one(exact_match(also="aliases"), "NYC", "New York", aliases=["NYC", "Big Apple"]) == 1.0
    assert one(token_f1(also="aliases"), "big apple", "New York", aliases=["NYC", "the Big Apple"]) == 1.0
    assert one(contains(ignore=["case"]), "It is in PARIS, I think", "paris") == 1.0


def test_what_cannot_be_ignored_is_named() -> None:
    with pytest.raises(Invalid, match="colour"):
        exact_match(ignore=["colour"])


def test_token_f1_is_that_of_squad() -> None:
    assert one(token_f1(), "the cat sat", "a cat sat down") == pytest.approx(0.8)
    assert one(token_f1(), "", "x") == 0.0


@pytest.mark.parametrize(
    ("answer", "arguments", "right"),
    [
        ("So the answer is 1,234.5", {}, True),
        ("1234.5 and then some 7", {}, False),
        ("1234.5 and then some 7", {"take": "first"}, True),
        ("about 1,240", {"tolerance": 10}, True),
        ("1.2e3", {"relative": 0.05}, True),
        ("1,234.5 cats", {"take": "only"}, False),
        ("none at all", {}, False),
        ("It is 12.", {}, False),
    ],
)
def test_numbers_are_compared_as_numbers(answer: str, arguments: dict[str, Any], right: bool) -> None:
    assert one(numeric(**arguments), answer, "1234.5") == float(right)


def test_a_target_that_is_no_number_is_a_mistake_of_the_user() -> None:
    with pytest.raises(Invalid, match="not a number"):
        one(numeric(), "1", "one")


def test_a_pattern_is_found_in_the_answer() -> None:
    assert one(regex(pattern=r"\d{3}"), "in 1984", "") == 1.0
    assert one(regex(pattern=r"answer: (\w+)", equals_target=True), "answer: C.", "C") == 1.0
    assert one(regex(pattern=r"answer: (\w+)", equals_target=True), "answer: D", "C") == 0.0
    with pytest.raises(Invalid):
        regex(pattern="(")


def test_answers_are_held_against_a_schema() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
    assert one(json_schema(schema=schema), '{"age": 3}', "") == 1.0
    assert one(json_schema(schema=schema), '{"age": -3}', "") == 0.0
    assert one(json_schema(schema=schema), "age: 3", "") == 0.0
    assert one(json_schema(column="schema"), "[1]", "", schema='{"type": "array"}') == 1.0


@pytest.mark.parametrize("schema", [{"type": "thing"}, {"$ref": "http://example.com/schema.json"}])
def test_a_schema_that_is_none_or_lies_elsewhere_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        json_schema(schema=schema)


WANTED = '{"name": "add", "arguments": {"a": 1, "b": 2}}'


@pytest.mark.parametrize(
    ("answer", "name", "call"),
    [
        ('{"name": "add", "arguments": {"b": 2, "a": 1}}', 1.0, 1.0),
        ('I will.\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>', 1.0, 1.0),
        ('{"tool_calls": [{"function": {"name": "add", "arguments": "{\\"a\\": 1, \\"b\\": 2}"}}]}', 1.0, 1.0),
        ('```json\n{"name": "add", "arguments": {"a": 1, "b": true}}\n```', 1.0, 0.0),
        ('{"name": "sub", "arguments": {"a": 1, "b": 2}}', 0.0, 0.0),
        (f"[{WANTED}, {WANTED}]", 0.0, 0.0),
        ("add(1, 2)", 0.0, 0.0),
    ],
)
def test_calls_of_tools_are_read_however_they_are_written(answer: str, name: float, call: float) -> None:
    whole, named = tool_call()
    assert (one(named, answer, WANTED), one(whole, answer, WANTED)) == (name, call)


def test_calls_may_come_in_any_order_when_that_is_said() -> None:
    first, second = WANTED, WANTED.replace("add", "sub")
    assert one(tool_call()[0], f"[{second}, {first}]", f"[{first}, {second}]") == 0.0
    assert one(tool_call(order=False)[0], f"[{second}, {first}]", f"[{first}, {second}]") == 1.0


def test_calibration_is_the_distance_of_confidence_and_accuracy() -> None:
    drawn = np.random.default_rng(7)
    confidences = drawn.uniform(0, 1, 200)
    right = drawn.uniform(0, 1, 200) < confidences**2
    answers = [Answer(text="x" if r else "y", confidence=float(c)) for c, r in zip(confidences, right, strict=True)]

    report = score(calibration(), answers, ["x"] * 200)

    bins = np.minimum((confidences * 10).astype(int), 9)
    expected = sum(abs(confidences[bins == b].sum() - right[bins == b].sum()) / 200 for b in range(10))
    assert value(report, "ece") == pytest.approx(expected, abs=1e-6)
    assert value(report, "brier") == pytest.approx(float(((confidences - right) ** 2).mean()), abs=1e-6)
    assert sum(each["n"] for each in report.evaluation.detail["ece"]) == 200


def test_a_stated_confidence_is_read_from_the_answer_and_cut_from_it() -> None:
    said = ["Paris (confidence: 90%)", "Rome (confidence: 20%)", "Oslo"]

    report = score(calibration(stated=r"\(confidence: (\d+)%\)"), said, ["Paris", "Paris", "Paris"])

    assert [case.scores.get("brier") for case in report.cases] == [pytest.approx(0.01), pytest.approx(0.04), None]


def test_time_and_money_are_counted_where_they_are_known() -> None:
    answers = [
        Answer(text="x", tokens=10 * i, prompt_tokens=100, seconds=0.1 * i if i > 2 else 0.0) for i in range(1, 11)
    ]

    report = score([latency(), cost(input=1.0, output=10.0)], answers, ["x"] * 10)

    assert value(report, "cost") == pytest.approx((100 * 10 + 550 * 10) / 1e6 / 10)
    assert report.evaluation.detail["cost"]["tokens"] == 550
    timed = report.evaluation.find("latency")
    assert timed is not None
    assert timed.n == 8
    assert set(report.evaluation.detail["latency"]) == {"n", "p50", "p95", "p99", "tokens_per_second"}


def test_the_worst_slice_is_named_by_what_is_better() -> None:
    rows = [Row(id=f"{i:03d}", input="q", target="x", source="s") for i in range(60)]
    task = Task(
        bundle="b",
        dataset="d",
        rows=rows,
        scorers=[exact_match(), ter()],
        slicer=lambda row: (f"third={int(row.id) % 3}",) if int(row.id) < 58 else ("few",),
    )
    answers = [Answer(text="x" if i % 3 else "wrong words") for i in range(58)] + [Answer(text="bad")] * 2

    report = evaluate(task, {MODEL: answers}).evaluation

    worst = [report.worst("exact_match"), report.worst("ter"), report.worst("exact_match", least=100)]
    assert [found.slice for found in worst if found] == ["third=0", "third=0", "few"]
    assert Evaluation(bundle="b", dataset="d", cases=0, results=()).worst("exact_match") is None
