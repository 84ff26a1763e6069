"""Markdown for a merge request: the outcome first, then each rule with what decided it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kedge.core.evaluation import Finding, Outcome, sum_up
from kedge.evaluate.formats.types import Judgement, label

_SIGNS = {Outcome.PASS: "✅ pass", Outcome.FAIL: "❌ fail", Outcome.UNDECIDED: "❓ undecided"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~@])")


def markdown(judgements: Sequence[Judgement]) -> str:
    """The judgements as a comment on a merge request."""
    outcome = sum_up([judgement.outcome for judgement in judgements])
    return "\n\n".join([f"## kedge gate: {_SIGNS[outcome]}", *(_judgement(each) for each in judgements)]) + "\n"


def _judgement(judgement: Judgement) -> str:
    lines = [
        f"### `{judgement.version}` by gate `{judgement.gate}`: {_SIGNS[judgement.outcome]}",
        "",
        f"bundle `{judgement.bundle[:19]}`" + (f", verdict `{judgement.verdict[:19]}`" if judgement.verdict else ""),
    ]
    if judgement.doubts:
        lines += ["", *(f"- {_escaped(doubt)}" for doubt in judgement.doubts)]
    if judgement.findings:
        lines += ["", "| | rule | finding |", "|---|---|---|", *(_row(finding) for finding in judgement.findings)]
    named = [finding for finding in judgement.findings if finding.cases]
    if named:
        lines += [
            "",
            "<details><summary>Deciding cases</summary>",
            "",
            *(_cases(finding) for finding in named),
            "",
            "</details>",
        ]
    return "\n".join([*lines, *(f"\n{_escaped(note)}" for note in judgement.notes)])


def _row(finding: Finding) -> str:
    return f"| {_SIGNS[finding.outcome]} | {_escaped(label(finding.rule))} | {_escaped(finding.text)} |"


def _cases(finding: Finding) -> str:
    return f"- {_escaped(label(finding.rule))}: " + ", ".join(f"`{case[:19]}`" for case in finding.cases)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text).replace("\n", " ")
