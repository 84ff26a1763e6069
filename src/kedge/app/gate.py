"""What the gates say of the newest versions, for a person and for a build server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kedge.app.aliases import resolve
from kedge.app.models import wish_for
from kedge.app.project import FILE, Project
from kedge.app.verdicts import evidence, gates_in_force
from kedge.core.errors import NotFound, Unavailable
from kedge.core.evaluation import Gate, Outcome, sum_up
from kedge.core.ledger import Ledger
from kedge.core.model import ModelVersion
from kedge.deploy.promote import Examined, Wish, examine, missing
from kedge.evaluate.formats.junit import junit
from kedge.evaluate.formats.markdown import markdown
from kedge.evaluate.formats.sarif import sarif
from kedge.evaluate.formats.types import Judgement as Judgement
from kedge.plugins import find_versions

PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """The outcome over all judgements: fail if one fails, else undecided if one is."""

    outcome: Outcome
    judgements: tuple[Judgement, ...]


def gate_report(project: Project, address: str = "") -> GateReport:
    """What each gate in force says of a version, or of the newest of every model. `NotFound` if there is no version, or
    no gate."""
    with project.ledger.begin() as tx:
        versions = [resolve(tx, address)] if address else _newest(tx)
        judgements = tuple(found for version in versions for found in _judgements(project, tx, version))
    if not versions:
        raise NotFound("no version is registered", hint="kedge run makes one, with a register stage")
    if not judgements:
        raise NotFound("no gate is in force", hint="add a stage with step = 'gate' to kedge.toml")
    return GateReport(outcome=sum_up([each.outcome for each in judgements]), judgements=judgements)


def write_reports(report: GateReport, files: Mapping[str, Path]) -> list[str]:
    """Write the report in formats by name, each whole or not at all; the files."""
    texts = {
        "junit": lambda: junit(report.judgements),
        "sarif": lambda: sarif(report.judgements, version=find_versions(["kedge"])["kedge"]),
        "markdown": lambda: markdown(report.judgements),
    }
    for name, file in files.items():
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(texts[name](), encoding="utf-8")
            temporary.replace(file)
        except OSError as error:
            raise Unavailable(f"cannot write {file}: {error.strerror}", address=str(file)) from error
        finally:
            temporary.unlink(missing_ok=True)
    return [str(file) for file in files.values()]


def _newest(tx: Ledger) -> list[ModelVersion]:
    return list({version.name: version for version in tx.models.versions()}.values())


def _judgements(project: Project, tx: Ledger, version: ModelVersion) -> list[Judgement]:
    known = evidence(project, tx, version.bundle)
    wish = wish_for(tx, version, PRODUCTION)
    return [
        _judgement(project, wish, gate, examine(wish, gate, known)) for gate in gates_in_force(project, version.name)
    ]


def _judgement(project: Project, wish: Wish, gate: Gate, found: Examined) -> Judgement:
    if found.newest is None or found.doubts:
        outcome = Outcome.FAIL if found.broken else Outcome.UNDECIDED
    else:
        outcome = found.newest.verdict.outcome
    file, _, line = project.config.place(("stages", gate.name)).rpartition(":")
    return Judgement(
        version=wish.address,
        bundle=wish.bundle,
        gate=gate.name,
        outcome=outcome,
        findings=found.newest.verdict.findings if found.newest else (),
        doubts=found.doubts,
        notes=tuple(missing(wish, gate)),
        verdict=found.newest.id if found.newest else "",
        file=file if line.isdecimal() else FILE,
        line=int(line) if line.isdecimal() else 1,
    )
