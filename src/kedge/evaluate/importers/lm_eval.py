"""Reads what lm-evaluation-harness writes with `--log_samples`: `results_*.json` and `samples_TASK_*.jsonl`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult
from kedge.core.hashing import digest_of
from kedge.evaluate.importers.types import Foreign, as_case

_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d\-.:]+)\.jsonl")
_RESULTS = re.compile(r"results_(?P<date>.+)\.json")


def read_lm_eval(path: Path) -> Foreign:
    """The evaluation in a folder that lm-evaluation-harness wrote, or of one of its files with those of its run.

    `Invalid` when samples were not logged, or a line cannot be read.
    """
    results, samples = _find(path)
    told: dict[str, Any] = msgspec.json.decode(results.read_bytes()) if results else {}
    read = {task: list(_lines(file)) for task, file in samples.items()}
    return from_samples(read, told)


def from_samples(samples: Mapping[str, Sequence[Mapping[str, Any]]], told: Mapping[str, Any]) -> Foreign:
    """The evaluation of logged samples by task; `told` is what stands in the results file."""
    cases: dict[tuple[str, str], CaseResult] = {}
    left_out: dict[str, None] = {}
    asked: list[Any] = []
    for task, lines in samples.items():
        for sample in lines:
            case, missing = _case(task, sample)
            before = cases.get((task, case.row))
            scores = {**(before.scores if before else {}), **case.scores}
            cases[task, case.row] = as_case(case.row, before.answer if before else case.answer, scores, case.slices)
            left_out.update(dict.fromkeys(missing))
            asked.append([task, sample["doc_id"], sample.get("doc_hash", ""), sample.get("prompt_hash", "")])
    config = told.get("config", {})
    ups = told.get("higher_is_better", {})
    return Foreign(
        tool="lm-evaluation-harness",
        subject=f"{config.get('model', '')} {_said(config.get('model_args', ''))}".strip(),
        content=digest_of(sorted(map(str, asked))),
        cases=list(cases.values()),
        lower=tuple(sorted({name for each in ups.values() for name, up in (each or {}).items() if up is False})),
        reported={task: _numbers(values) for task, values in told.get("results", {}).items()},
        left_out=tuple(left_out),
    )


def _find(path: Path) -> tuple[Path | None, dict[str, Path]]:
    if path.is_dir():
        found = sorted(path.rglob("results_*.json"))
        if not found:
            raise Invalid(f"there is no results_*.json in {path}", address=str(path))
        path = found[-1]
    one = _SAMPLES.fullmatch(path.name)
    if one:
        beside = path.with_name(f"results_{one['date']}.json")
        return (beside if beside.exists() else None), {one["task"]: path}
    whole = _RESULTS.fullmatch(path.name)
    date = whole["date"] if whole else ""
    samples = {
        match["task"]: file
        for file in sorted(path.parent.glob("samples_*.jsonl"))
        if (match := _SAMPLES.fullmatch(file.name)) and match["date"] == date
    }
    if not samples:
        raise Invalid(
            f"there are no samples beside {path.name}",
            address=str(path),
            hint="run lm_eval with --log_samples and --output_path",
        )
    return path, samples


def _lines(file: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                sample = msgspec.json.decode(line)
            except msgspec.DecodeError as error:
                raise Invalid(f"{file}:{number}: not JSON: {error}", address=f"{file}:{number}") from error
            if not isinstance(sample, dict) or "doc_id" not in sample or "metrics" not in sample:
                raise Invalid(f"{file}:{number}: not a sample of lm-evaluation-harness", address=f"{file}:{number}")
            yield sample


def _case(task: str, sample: Mapping[str, Any]) -> tuple[CaseResult, list[str]]:
    """A sample as a case, and the metrics of it that are no number of the case."""
    kind = sample.get("filter", "none")
    scores: dict[str, float] = {}
    missing = []
    for metric in sample["metrics"]:
        value = sample.get(metric)
        name = metric if kind == "none" else f"{metric},{kind}"
        if isinstance(value, bool | int | float):
            scores[name] = float(value)
        else:
            missing.append(name)
    answer = _text(sample.get("filtered_resps", sample.get("resps", "")))
    return as_case(f"{task}/{sample['doc_id']}", answer, scores, (f"task={task}",)), missing


def _text(responses: Any) -> str:
    """What was answered: the text, or what was found of each choice."""
    if isinstance(responses, list) and len(responses) == 1:
        return _text(responses[0])
    return responses if isinstance(responses, str) else msgspec.json.encode(responses, enc_hook=str).decode()


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}


def _said(arguments: Any) -> str:
    if isinstance(arguments, Mapping):
        return ",".join(f"{name}={value}" for name, value in arguments.items())
    return str(arguments or "")
