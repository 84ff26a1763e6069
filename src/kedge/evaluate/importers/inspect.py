"""Reads Inspect's logs in JSON (`inspect eval --log-format json`, or `inspect log convert --to json`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from kedge.core.errors import Invalid
from kedge.core.evaluation import CaseResult
from kedge.core.hashing import digest_of
from kedge.evaluate.importers.types import Foreign, as_case

_LETTERS: Mapping[str, float] = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}  # as Inspect's value_to_float has it
_WORDS: Mapping[str, float] = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


def read_inspect(path: Path) -> Foreign:
    """The evaluation in a log. `Invalid` if it is no log, did not succeed, or holds no samples."""
    try:
        log = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise Invalid(
            f"{path} is not JSON: {error}",
            address=str(path),
            hint="a log in Inspect's own format becomes JSON by: inspect log convert --to json --output-dir DIR FILE",
        ) from error
    if not is_inspect(log):
        raise Invalid(f"{path} is not a log of Inspect", address=str(path))
    if log["status"] != "success":
        raise Invalid(f"the evaluation in {path} did not succeed: {log['status']}", address=str(path))
    told = log["eval"]
    samples = log.get("samples") or []
    task = str(told.get("task", "task"))
    return Foreign(
        tool="inspect",
        subject=str(told.get("model", "")),
        content=digest_of(
            [[task, str(each.get("id")), each.get("epoch", 1), str(each.get("input"))] for each in samples]
        ),
        cases=[_case(task, each) for each in samples],
        reported=_reported(log.get("results") or {}),
        left_out=tuple(dict.fromkeys(name for each in samples for name, value in _values(each) if value is None)),
    )


def is_inspect(log: Any) -> bool:
    """Whether decoded JSON is a log of Inspect."""
    return isinstance(log, dict) and "eval" in log and "status" in log and isinstance(log["eval"], dict)


def _case(task: str, sample: Mapping[str, Any]) -> CaseResult:
    epoch = sample.get("epoch", 1)
    row = f"{task}/{sample.get('id')}" + (f"#{epoch}" if epoch != 1 else "")
    scores = {name: value for name, value in _values(sample) if value is not None}
    return as_case(row, _answer(sample), scores, (f"task={task}",))


def _answer(sample: Mapping[str, Any]) -> str:
    output = sample.get("output") or {}
    if output.get("completion"):
        return str(output["completion"])
    choices = output.get("choices") or [{}]
    content = (choices[0].get("message") or {}).get("content", "")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return str(content)


def _values(sample: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Each score as a number; None where it is none."""
    for name, score in (sample.get("scores") or {}).items():
        value = score.get("value")
        if isinstance(value, Mapping):
            yield from ((f"{name}/{key}", _number(inner)) for key, inner in value.items())
        else:
            yield name, _number(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    if value in _LETTERS:
        return _LETTERS[value]
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    try:
        return float(value)
    except ValueError:
        return None


def _reported(results: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{score.get('name')}/{name}": metric["value"]
        for score in results.get("scores") or []
        for name, metric in (score.get("metrics") or {}).items()
    }
