from __future__ import annotations

import math

import pytest

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.core.generation import Likelihood
from kedge.evaluate.scorers.json import json_args, json_field, json_name, valid_json
from kedge.evaluate.scorers.likelihood import perplexity
from kedge.evaluate.scorers.text import exact_match
from kedge.evaluate.types import Answer, Case

TARGET = '{"name": "f", "args": ["a", "b"]}'


def make_case(answer: str, *, target: str = TARGET, likelihood: Likelihood | None = None) -> Case:
    row = Row(id="r1", input="def f(a, b)", target=target, source="m.py:1")
    return Case(row=row, answer=Answer(text=answer, likelihood=likelihood))


@pytest.mark.parametrize(
    ("answer", "score"), [(TARGET, 1.0), (f" {TARGET}\n", 1.0), ('{"name":"f","args":["a","b"]}', 0.0), ("", 0.0)]
)
def test_exact_match_wants_the_same_text(answer: str, score: float) -> None:
    assert exact_match().score(make_case(answer)) == {"exact_match": score}


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (TARGET, 1.0),
        ("[1, 2.5, null]", 1.0),
        ('"text"', 1.0),
        ("", 0.0),
        ('{"name": "f"', 0.0),
        (TARGET + " and more", 0.0),
        ("[" * 100_000, 0.0),
        ("NaN", 0.0),
        ("\ud800", 0.0),
    ],
)
def test_valid_json_wants_one_value_and_nothing_else(answer: str, score: float) -> None:
    assert valid_json().score(make_case(answer)) == {"valid_json": score}


@pytest.mark.parametrize(
    ("answer", "name", "args"),
    [
        ('{"args": ["a", "b"], "name": "f"}', 1.0, 1.0),
        ('{"name": "g", "args": ["a", "b"]}', 0.0, 1.0),
        ('{"name": "f", "args": ["b", "a"]}', 1.0, 0.0),
        ('{"name": "f"}', 1.0, 0.0),
        ('["f"]', 0.0, 0.0),
        ("not json", 0.0, 0.0),
    ],
)
def test_fields_are_compared_one_by_one(answer: str, name: float, args: float) -> None:
    case = make_case(answer)

    assert json_name().score(case) == {"json_name": name}
    assert json_args().score(case) == {"json_args": args}


@pytest.mark.parametrize(
    ("answer", "target", "score"),
    [("true", "1", 0.0), ("1.0", "1", 1.0), ("[true]", "[1]", 0.0), ('{"b":1,"a":2}', '{"a":2,"b":1}', 1.0)],
)
def test_values_are_compared_as_json(answer: str, target: str, score: float) -> None:
    case = make_case(f'{{"x": {answer}}}', target=f'{{"x": {target}}}')

    assert json_field(field="x").score(case) == {"json_x": score}


def test_a_target_without_the_field_is_a_mistake_of_the_user() -> None:
    with pytest.raises(Invalid, match="with a field 'name'"):
        json_name().score(make_case(TARGET, target="plain text"))


def test_perplexity_is_scored_where_the_likelihood_is_known() -> None:
    scorer = perplexity()

    assert scorer.likelihood
    assert scorer.score(make_case("", likelihood=Likelihood(logprob=-3 * math.log(2), tokens=3))) == {
        "nll": pytest.approx(2.079442),
        "tokens": 3.0,
    }
    assert scorer.score(make_case(TARGET)) == {}
