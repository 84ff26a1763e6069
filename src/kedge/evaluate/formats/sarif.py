"""SARIF 2.1.0 (OASIS 2020), as GitHub reads it: a result a finding, at the line where its gate is set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from kedge.core.evaluation import Outcome
from kedge.core.hashing import digest_of
from kedge.evaluate.formats.types import Judgement, label

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_LEVELS = {Outcome.PASS: "none", Outcome.FAIL: "error", Outcome.UNDECIDED: "warning"}


def sarif(judgements: Sequence[Judgement], *, version: str) -> str:
    """The judgements as one log. `version` is that of kedge."""
    results = [result for judgement in judgements for result in _results(judgement)]
    rules = sorted({result["ruleId"] for result in results})
    driver = {
        "name": "kedge",
        "semanticVersion": version,
        "rules": [{"id": rule, "shortDescription": {"text": rule}} for rule in rules],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _results(judgement: Judgement) -> Iterator[dict[str, Any]]:
    for doubt in judgement.doubts:
        yield _result(judgement, f"{judgement.gate}/verdict", judgement.outcome, doubt)
    for finding in judgement.findings:
        found = {"interval": [finding.interval.low, finding.interval.high], "needed": finding.needed}
        result = _result(judgement, f"{judgement.gate}/{label(finding.rule)}", finding.outcome, finding.text)
        yield {**result, "properties": {**result["properties"], **found, "cases": list(finding.cases)}}


def _result(judgement: Judgement, rule: str, outcome: Outcome, text: str) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": judgement.file}, "region": {"startLine": judgement.line}}
    return {
        "ruleId": rule,
        "kind": "pass" if outcome is Outcome.PASS else "fail",
        "level": _LEVELS[outcome],
        "message": {"text": f"{judgement.version}: {text}"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"rule/v1": digest_of([judgement.version.partition("@")[0], rule])},
        "properties": {"version": judgement.version, "bundle": judgement.bundle, "outcome": str(outcome)},
    }
