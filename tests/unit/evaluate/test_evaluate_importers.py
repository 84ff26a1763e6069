"""Evaluations of other tools: every case with the scores that it has there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kedge.core.errors import Invalid
from kedge.evaluate.importers.read import read

DATE = "2026-11-22T10-00-00.123456"


def write_lm_eval(folder: Path, samples: dict[str, list[dict[str, Any]]], **results: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for task, lines in samples.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{DATE}.jsonl").write_text(text)
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    return folder


def sample(doc: int, **scores: Any) -> dict[str, Any]:
    more = {"filter": scores.pop("filter", "none"), "filtered_resps": [scores.pop("said", "42")]}
    return {"doc_id": doc, "doc_hash": f"h{doc}", "metrics": list(scores), **more, **scores}


def log(*samples: dict[str, Any], status: str = "success") -> dict[str, Any]:
    scores = [{"name": "match", "metrics": {"accuracy": {"name": "accuracy", "value": 0.5}}}]
    return {
        "version": 2,
        "status": status,
        "eval": {"task": "arc", "model": "openai/gpt-x"},
        "results": {"scores": scores},
        "samples": list(samples),
    }


def test_a_sample_scored_by_several_filters_is_one_case(tmp_path: Path) -> None:
    lines = [
        sample(0, exact_match=1.0, filter="strict-match"),
        sample(0, exact_match=0.0, filter="flexible-extract"),
        sample(1, exact_match=False, filter="strict-match"),
    ]

    found = read(write_lm_eval(tmp_path / "out", {"gsm8k": lines}, config={"model": "hf", "model_args": "a=b"}))

    assert [case.scores for case in found.report.cases] == [
        {"exact_match,strict-match": 1.0, "exact_match,flexible-extract": 0.0},
        {"exact_match,strict-match": 0.0},
    ]
    assert found.report.evaluation.subject == "hf a=b"


def test_several_tasks_are_slices_and_what_is_no_number_of_a_case_is_named(tmp_path: Path) -> None:
    samples = {
        "arc_easy": [sample(0, acc=1.0), sample(1, acc=0.0)],
        "wmt_en_de": [sample(0, ter=30.0, bleu=["ref", "hyp"])],
    }
    told = {"higher_is_better": {"wmt_en_de": {"ter": False, "bleu": True}}, "results": {"arc_easy": {"acc,none": 0.5}}}

    report = read(write_lm_eval(tmp_path / "out", samples, **told)).report

    found = report.evaluation.find("acc", slice="task=arc_easy")
    assert found is not None
    assert found.interval.value == 0.5
    assert report.evaluation.lower == ("ter",)
    assert report.evaluation.detail["left_out"] == ["bleu"]


def test_one_samples_file_stands_alone_and_the_same_cases_are_known_as_such(tmp_path: Path) -> None:
    one = write_lm_eval(tmp_path / "a", {"arc": [sample(0, acc=1.0), sample(1, acc=0.0)]}, config={"model": "x"})
    other = write_lm_eval(tmp_path / "b", {"arc": [sample(1, acc=1.0), sample(0, acc=1.0)]}, config={"model": "y"})

    first, second = read(one / f"samples_arc_{DATE}.jsonl").report, read(other).report

    assert first.evaluation.dataset == second.evaluation.dataset
    assert first.evaluation.subject == "x"


def test_results_without_samples_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no samples") as caught:
        read(write_lm_eval(tmp_path / "out", {}, config={}))

    assert "--log_samples" in caught.value.hint


def test_a_line_that_is_no_sample_is_named(tmp_path: Path) -> None:
    folder = write_lm_eval(tmp_path / "out", {"arc": [sample(0, acc=1.0), {"doc": 1}]})

    with pytest.raises(Invalid, match=r"\.jsonl:2"):
        read(folder)


def test_a_log_of_inspect_becomes_an_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    samples: list[dict[str, Any]] = [
        {"id": "a", "epoch": 1, "input": "q", "output": {"completion": "4"}, "scores": {"match": {"value": "C"}}},
        {"id": "b", "input": "q", "output": {}, "scores": {"match": {"value": "I"}, "f1": {"value": 0.25}}},
        {
            "id": "b",
            "epoch": 2,
            "input": "q",
            "output": {"choices": [{"message": {"content": [{"type": "text", "text": "5"}]}}]},
            "scores": {"match": {"value": "P"}, "parts": {"value": {"x": 1, "y": True}}, "odd": {"value": ["list"]}},
        },
    ]
    file.write_text(json.dumps(log(*samples)))

    report = read(file).report

    assert [(case.row, case.answer) for case in report.cases] == [("arc/a", "4"), ("arc/b", ""), ("arc/b#2", "5")]
    assert [case.scores for case in report.cases] == [
        {"match": 1.0},
        {"match": 0.0, "f1": 0.25},
        {"match": 0.5, "parts/x": 1.0, "parts/y": 1.0},
    ]
    assert report.evaluation.subject == "openai/gpt-x"
    assert report.evaluation.detail == {"tool": "inspect", "reported": {"match/accuracy": 0.5}, "left_out": ["odd"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.json", json.dumps(log(status="error")), "did not succeed"),
        ("log.json", json.dumps(log()), "no case"),
        ("log.json", "PK\x03\x04", "not JSON"),
        ("log.eval", "PK\x03\x04", "own format"),
        ("other.json", '{"a": 1}', "no samples"),
    ],
)
def test_files_that_are_no_evaluation_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    file = tmp_path / name
    file.write_text(content)

    with pytest.raises(Invalid, match=message):
        read(file)
