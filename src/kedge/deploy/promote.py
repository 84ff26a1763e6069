"""Decides whether a version may take over a protected alias: the record is the control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kedge.core.errors import Refused
from kedge.core.evaluation import Evidence as Required
from kedge.core.evaluation import Finding, Gate, Outcome, Verdict
from kedge.core.model import Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Somebody wants an alias of a model to point at a version. `override` is the reason to do it regardless; `author`
    registered the version, `card` is its model card's digest, and `approvals` are those it has."""

    model: str
    version: int
    bundle: str
    alias: str
    override: str = ""
    author: str = ""
    card: str = ""
    approvals: Sequence[Approval] = ()

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

    `authentic` says that the project's own key signed exactly this verdict. `dataset` is what the evaluation's dataset
    has become since ("" while it is the same), `references` what each version that the rules name is now: its address
    and its bundle, both empty for an alias that was never set.
    """

    id: str
    verdict: Verdict
    authentic: bool
    gate_set: datetime | None
    evaluated: datetime | None
    dataset: str = ""
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Why the move is allowed: the verdicts that permit it, or the objections that were overridden."""

    verdicts: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()

    @property
    def overridden(self) -> bool:
        """Whether it is allowed only because somebody insisted."""
        return bool(self.objections)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What one gate has to say: its newest verdict on the bundle, why that does not count, and what its rules found
    against the model. `broken` says that the verdict can never count; another doubt ends when it is judged again."""

    newest: Evidence | None
    doubts: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    broken: bool = False


def examine(wish: Wish, gate: Gate, evidence: Sequence[Evidence]) -> Examined:
    """What speaks against the wish by one gate; of several verdicts the newest counts."""
    newest = _newest(wish, gate, evidence)
    if newest is None:
        return Examined(newest=None, doubts=(_absent(wish, gate, evidence),))
    if broken := _distrust(newest, gate):
        return Examined(newest=newest, doubts=(broken,), broken=True)
    if outdated := _outdated(newest, gate):
        return Examined(newest=newest, doubts=tuple(outdated))
    verdict = newest.verdict
    findings = tuple(_say(finding) for finding in verdict.findings if finding.outcome is not Outcome.PASS)
    if not findings and verdict.outcome is not Outcome.PASS:
        findings = (f"gate {gate.name}: its verdict is {verdict.outcome}",)
    return Examined(newest=newest, findings=findings)


def decide(wish: Wish, gates: Sequence[Gate], evidence: Sequence[Evidence]) -> Permission:
    """Permission to move a protected alias: each gate in force must have passed for exactly this bundle, on the cases and
    against the versions that count now, and with the evidence that it requires.

    `evidence` is in the order in which it was recorded; of several verdicts under one gate the newest counts. `Refused`
    lists every objection with the interval that decided, unless the wish gives a reason to override them.
    """
    verdicts: list[str] = []
    objections: list[str] = []
    if not gates:
        objections.append(f"no gate is in force for {wish.model}: kedge.toml has no stage with step = 'gate'")
    for gate in gates:
        found = examine(wish, gate, evidence)
        verdicts += [found.newest.id] if found.newest else []
        objections += [*found.doubts, *found.findings, *(missing(wish, gate) if found.newest else ())]
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


def _distrust(evidence: Evidence, gate: Gate) -> str:
    """Why a verdict must not be believed; nothing if it may."""
    if not evidence.authentic:
        return f"gate {gate.name}: verdict {evidence.id[:19]} does not carry this project's signature"
    if evidence.evaluated is None:
        return f"gate {gate.name}: the run that made the evaluation is not on record"
    if evidence.gate_set is None:
        return f"gate {gate.name}: its rules were never stored, so nobody knows when they were set"
    if evidence.gate_set > evidence.evaluated:
        times = f"set at {_time(evidence.gate_set)}, the evaluation began at {_time(evidence.evaluated)}"
        return f"gate {gate.name} was set after the evaluation it judges had begun ({times}): judge it by other cases"
    return ""


def _outdated(evidence: Evidence, gate: Gate) -> list[str]:
    """What the verdict was about and is another now: the evaluation set, and the versions compared with."""
    found = []
    if evidence.dataset:
        was, now = evidence.verdict.dataset[:19], evidence.dataset[:19]
        found.append(
            f"gate {gate.name}: the evaluation set has changed, from {was} to {now}: evaluate it on the new one"
        )
    for name, then in evidence.verdict.detail.get("references", {}).items():
        address, bundle = evidence.references.get(name, ("", ""))
        if bundle not in (then["bundle"], evidence.verdict.bundle):
            was = then["version"] or "nothing yet"
            found.append(f"gate {gate.name} compared with {name} when it was {was}; it is {address or 'gone'} now")
    return found


def missing(wish: Wish, gate: Gate) -> list[str]:
    """The evidence that a gate requires besides its verdict, and that is not there."""
    missing = []
    if Required.CARD in gate.requires and not wish.card:
        missing.append(f"gate {gate.name} requires a model card, and {wish.address} has none")
    given = [a.by for a in wish.approvals if a.by != wish.author and a.bundle == wish.bundle]
    if len(set(given)) < gate.approvers:
        have = f"it has {', '.join(sorted(set(given)))}'s" if given else "it has none"
        own = f" (that of {wish.author}, who made it, does not count)" if _own(wish) else ""
        people = "1 person" if gate.approvers == 1 else f"{gate.approvers} people"
        missing.append(f"gate {gate.name} requires the approval of {people} other than its author; {have}{own}")
    return missing


def _own(wish: Wish) -> bool:
    return any(approval.by == wish.author for approval in wish.approvals)


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
    if all("requires the approval" in objection for objection in objections):
        first = f'somebody else approves it: kedge approve {wish.address} --reason "..."'
    return Refused(
        f"{wish.address} may not become {wish.target}:{lines}",
        address=wish.address,
        hint=f"{first}, or insist, which is written into the audit chain: {force}",
    )
