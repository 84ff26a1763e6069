"""Holds rows to the contract of their dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from kedge.data.columns import without
from kedge.data.contract_types import ColumnRule, ContractOptions
from kedge.data.stage import Passed, RowStage
from kedge.data.types import StageSpec

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def contract_stage(options: ContractOptions) -> StageSpec:
    """The stage, to be opened where rows are read."""
    return StageSpec(name="contract", open="kedge.data.contract:open_contract", options=options)


def open_contract(options: ContractOptions) -> RowStage:
    """Rejects rows that break a rule, with the rule as the reason."""
    checks = {name: _checks(rule) for name, rule in options.columns.items()}
    return partial(_keep, options.columns, checks)


Check = tuple[str, Callable[[Any], bool]]


def _checks(rule: ColumnRule) -> Sequence[Check]:
    """The checks of a rule that says something, with what each wants."""
    pattern = re.compile(rule.matches)
    wanted = [
        (bool(rule.type), f"{rule.type} is wanted", lambda value: _is_of(value, rule.type)),
        (
            rule.min_chars > 0,
            f"the least is {rule.min_chars} characters",
            lambda value: len(str(value)) >= rule.min_chars,
        ),
        (
            rule.max_chars > 0,
            f"the most is {rule.max_chars} characters",
            lambda value: len(str(value)) <= rule.max_chars,
        ),
        (rule.min is not None, f"the least is {rule.min}", lambda value: _is_of(value, "number") and value >= rule.min),
        (rule.max is not None, f"the most is {rule.max}", lambda value: _is_of(value, "number") and value <= rule.max),
        (bool(rule.one_of), f"it is none of {', '.join(map(str, rule.one_of))}", lambda value: value in rule.one_of),
        (bool(rule.matches), f"it does not match {rule.matches}", lambda value: bool(pattern.fullmatch(str(value)))),
        (rule.json, "it is not JSON", _is_json),
    ]
    return [(words, check) for says, words, check in wanted if says]


def _is_of(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_json(value: Any) -> bool:
    try:
        msgspec.json.decode(str(value))
    except msgspec.DecodeError:
        return False
    return True


def _keep(rules: Mapping[str, ColumnRule], checks: Mapping[str, Sequence[Check]], batch: pa.RecordBatch) -> Passed:
    inputs, targets = batch.column("input").to_pylist(), batch.column("target").to_pylist()
    tags = [msgspec.json.decode(text) for text in batch.column("tags").to_pylist()]
    faults: list[tuple[str, str] | None] = [None] * batch.num_rows
    for row, (given, wanted, own) in enumerate(zip(inputs, targets, tags, strict=True)):
        values = {**own, "input": given, "target": wanted}
        faults[row] = next(filter(None, (_fault(name, rules[name], checks[name], values) for name in rules)), None)
    return without(batch, faults)


def _fault(name: str, rule: ColumnRule, checks: Sequence[Check], values: Mapping[str, Any]) -> tuple[str, str] | None:
    if values.get(name) in (None, ""):
        return (f"contract:{name}", f"{name} is missing") if rule.required else None
    for words, holds in checks:
        if not holds(values[name]):
            return f"contract:{name}", f"{name} is {str(values[name])[:60]!r}: {words}"
    return None
