"""Verdicts on the record: signed when they are written, checked when they are used, and the gates now in force."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import msgspec

from kedge.app.aliases import referred
from kedge.app.project import Project, private_file
from kedge.app.regressions import pinned_gates
from kedge.core.errors import Broken, NotFound
from kedge.core.evaluation import Gate, Verdict
from kedge.core.hashing import canonical, digest
from kedge.core.ledger import Ledger, RunQuery
from kedge.core.model import RecordedVerdict
from kedge.core.run import Run
from kedge.deploy.promote import Evidence
from kedge.govern.signing import Signer, new_key

KEY_FILE = "signing.key"


def signer(project: Project) -> Signer:
    """The project's own signing key, made once."""
    return Signer(private_file(project.state / KEY_FILE, new_key))


def record_verdict(project: Project, verdict: Verdict, run: Run) -> RecordedVerdict:
    """Sign a verdict and write it into ledger and audit chain; one that is on record already changes nothing."""
    content = msgspec.to_builtins(replace(verdict, signature=""))
    body = canonical(content)
    recorded = RecordedVerdict(
        id=digest(body),
        gate=verdict.gate,
        bundle=verdict.bundle,
        evaluation=verdict.evaluation,
        dataset=verdict.dataset,
        outcome=verdict.outcome,
        run=run.id,
        at=project.clock.now(),
        body=body.decode(),
        signature=signer(project).sign(content),
    )
    with project.ledger.begin() as tx:
        if any(known.id == recorded.id for known in tx.verdicts.about(verdict.bundle)):
            return tx.verdicts.get(recorded.id)
        detail = {
            "verdict": recorded.id,
            "outcome": str(verdict.outcome),
            "gate": verdict.gate,
            "evaluation": verdict.evaluation,
            "dataset": verdict.dataset,
            "run": run.id,
        }
        with project.recorded("judge", verdict.bundle, **detail) as inner:
            inner.verdicts.add(recorded)
    return recorded


def read_verdict(recorded: RecordedVerdict) -> Verdict:
    """The verdict as it was signed. `Broken` if its text cannot be read."""
    try:
        verdict = msgspec.json.decode(recorded.body, type=Verdict)
    except msgspec.DecodeError as error:
        raise Broken(f"a verdict on record cannot be read: {error}", address=recorded.id) from error
    return replace(verdict, signature=recorded.signature)


def evidence(project: Project, tx: Ledger, bundle: str) -> list[Evidence]:
    """Every verdict on a bundle, in the order of the record, with what is needed to believe it."""
    known = tx.verdicts.about(bundle)
    if not known:
        return []
    key = signer(project)
    return [_evidence(tx, recorded, key) for recorded in known]


def _evidence(tx: Ledger, recorded: RecordedVerdict, key: Signer) -> Evidence:
    verdict = read_verdict(recorded)
    genuine = digest(recorded.body.encode()) == recorded.id and key.verify(
        json.loads(recorded.body), recorded.signature
    )
    made = tx.runs.producing(verdict.evaluation)
    return Evidence(
        id=recorded.id,
        verdict=verdict,
        authentic=genuine,
        gate_set=_set_at(tx, verdict.gate),
        evaluated=min((run.started for run in made), default=None),
        dataset=_replaced(tx, verdict.dataset),
        references={name: _now(tx, name) for name in verdict.detail.get("references", {})},
    )


def _replaced(tx: Ledger, dataset: str) -> str:
    """What the stage that made a dataset has made since, if it is another one."""
    for run in reversed(tx.runs.producing(dataset)):
        ports = [port for port, digest in run.outputs.items() if digest == dataset]
        newest = tx.runs.search(RunQuery(where=f"stage = '{run.stage}' and status = 'succeeded'", limit=1))
        now = newest[0].outputs.get(ports[0], dataset) if newest else dataset
        return now if now != dataset else ""
    return ""


def _now(tx: Ledger, reference: str) -> tuple[str, str]:
    """The address and the bundle that a version or an alias is now; nothing if it is gone."""
    try:
        found = referred(tx, reference)
    except NotFound:
        return "", ""
    return (found[0], found[1]) if found else ("", "")


def _set_at(tx: Ledger, gate: str) -> datetime | None:
    try:
        return tx.verdicts.gate(gate)[1]
    except NotFound:
        return None


def gates_in_force(project: Project, model: str) -> list[Gate]:
    """The gates whose verdicts the stages that register this model wait for, and those that judge the same bundle by
    pinned cases; else every gate of the project file."""
    stages = project.config.stages
    gates = {name: gate for name in stages if (gate := _gate(project, name))}
    registering = [name for name in stages if _registers(project, name, model)]
    wanted = [_before(project, name, list(gates)) for name in registering]
    if any(wanted):
        wanted += [pinned for name in registering for pinned in pinned_gates(project, name)]
    return [gates[name] for name in dict.fromkeys(name for name in wanted if name) or gates]


def _gate(project: Project, stage: str) -> Gate | None:
    step = project.steps.get(project.config.stages[stage].step)
    return step.gate(project.config.options(stage, step.options), stage) if step.gate else None


def _registers(project: Project, stage: str, model: str) -> bool:
    settings = project.config.stages[stage]
    return settings.step == "register" and settings.options.get("model") == model


def _before(project: Project, stage: str, gates: list[str]) -> str:
    """The gate that a stage takes its verdict from: the one it names, or the nearest before it."""
    given = project.config.stages[stage].inputs.get("verdict", "").partition(".")[0]
    order = list(project.config.stages)
    earlier = [gate for gate in gates if order.index(gate) < order.index(stage)]
    return given if given in gates else (earlier or [""])[-1]
