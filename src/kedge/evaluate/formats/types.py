"""What is told to a build server: what each gate found about each version."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.evaluation import Finding, Outcome, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one gate says of one version. `doubts` say why its verdict does not count, or that there is none; `file` and
    `line` are where the gate is set. `notes` stand in nobody's way yet, as approvals to come."""

    version: str
    bundle: str
    gate: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str = ""
    file: str = "kedge.toml"
    line: int = 1


def label(rule: Rule) -> str:
    """A rule in a few words, the same each time: `exact_match at_least 0.55 on args>=2`."""
    bound = f"at_least {rule.at_least}" if rule.at_least is not None else ""
    most = f"at_most {rule.at_most:g}" if rule.at_most is not None else ""
    margin = f"margin {rule.margin:g}" if rule.margin else ""
    place = f"on {rule.slice}" if rule.slice else ""
    return " ".join(part for part in (rule.metric, bound, most, margin, place) if part)
