"""Decides whether a version may take over a protected alias: the record is the control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kedge.core.errors import Refused
from kedge.core.evaluation import Finding, Gate, Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Somebody wants an alias of a model to point at a version. `override` is the reason to do it regardless."""

    model: str
    version: int
    bundle: str
    alias: str
    override: str = ""

    @property
    def address(self) -> str:
        """`schemas@7`."""
        return f"{self.model}@{self.version}"

    @property
    def target(self) -> str:
        """`schemas@production`."""
        return f"{self.model}@{self.alias}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A verdict on record. `gate_set` is when its rules were first stored, `evaluated` when its evaluation first began.

    `authentic` says that the project's own key signed exactly this verdict.
    """

    id: str
    verdict: Verdict
    authentic: bool
    gate_set: datetime | None
    evaluated: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Why the move is allowed: the verdicts that permit it, or the objections that were overridden."""

    verdicts: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()

    @property
    def overridden(self) -> bool:
        """Whether it is allowed only because somebody insisted."""
        return bool(self.objections)


def decide(wish: Wish, gates: Sequence[Gate], evidence: Sequence[Evidence]) -> Permission:
    """Permission to move a protected alias: each gate in force must have passed for exactly this bundle.

    `evidence` is in the order in which it was recorded; of several verdicts under one gate the newest counts. `Refused`
    lists every objection with the interval that decided, unless the wish gives a reason to override them.
    """
    verdicts: list[str] = []
    objections: list[str] = []
    if not gates:
        objections.append(f"no gate is in force for {wish.model}: kedge.toml has no stage with step = 'gate'")
    for gate in gates:
        newest = _newest(wish, gate, evidence)
        if newest is None:
            objections.append(_absent(wish, gate, evidence))
            continue
        verdicts.append(newest.id)
        objections += _object(newest, gate)
    if objections and not wish.override.strip():
        raise _refusal(wish, objections, undecided=_undecided(verdicts, evidence))
    return Permission(verdicts=tuple(verdicts), objections=tuple(objections))


def _newest(wish: Wish, gate: Gate, evidence: Sequence[Evidence]) -> Evidence | None:
    matching = [e for e in evidence if e.verdict.gate == gate.digest and e.verdict.bundle == wish.bundle]
    return matching[-1] if matching else None


def _absent(wish: Wish, gate: Gate, evidence: Sequence[Evidence]) -> str:
    about = [e for e in evidence if e.verdict.bundle == wish.bundle]
    if about:
        return f"gate {gate.name}: {wish.address} was judged by rules that are no longer in force"
    elsewhere = " (a verdict on another bundle does not count)" if evidence else ""
    return f"gate {gate.name}: there is no verdict on {wish.address}{elsewhere}"


def _object(evidence: Evidence, gate: Gate) -> list[str]:
    """Everything that speaks against one verdict."""
    if not evidence.authentic:
        return [f"gate {gate.name}: verdict {evidence.id[:19]} does not carry this project's signature"]
    if evidence.evaluated is None:
        return [f"gate {gate.name}: the run that made the evaluation is not on record"]
    if evidence.gate_set is None:
        return [f"gate {gate.name}: its rules were never stored, so nobody knows when they were set"]
    if evidence.gate_set > evidence.evaluated:
        times = f"set at {_time(evidence.gate_set)}, the evaluation began at {_time(evidence.evaluated)}"
        return [f"gate {gate.name} was set after the evaluation it judges had begun ({times}): judge it by other cases"]
    return [_say(finding) for finding in evidence.verdict.findings if finding.outcome is not Outcome.PASS] or (
        []
        if evidence.verdict.outcome is Outcome.PASS
        else [f"gate {gate.name}: its verdict is {evidence.verdict.outcome}"]
    )


def _say(finding: Finding) -> str:
    return f"{finding.outcome}: {finding.text}"


def _time(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


def _undecided(ids: Sequence[str], evidence: Sequence[Evidence]) -> bool:
    """Whether more cases might still decide for it: nothing failed, something is undecided."""
    outcomes = {e.verdict.outcome for e in evidence if e.id in ids}
    return Outcome.UNDECIDED in outcomes and Outcome.FAIL not in outcomes


def _refusal(wish: Wish, objections: Sequence[str], *, undecided: bool) -> Refused:
    lines = "".join(f"\n  - {objection}" for objection in objections)
    force = f'kedge promote {wish.address} --alias {wish.alias} --override "the reason"'
    first = "evaluate more cases" if undecided else "train and evaluate again"
    return Refused(
        f"{wish.address} may not become {wish.target}:{lines}",
        address=wish.address,
        hint=f"{first}, or insist, which is written into the audit chain: {force}",
    )
