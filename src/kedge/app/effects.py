"""What a finished step asks the application to do: record a verdict, register a version."""

from __future__ import annotations

from kedge.app.models import register_version
from kedge.app.project import Project
from kedge.app.verdicts import record_verdict
from kedge.core.ledger import Ledger
from kedge.core.model import ModelVersion
from kedge.core.run import Run
from kedge.core.step import Judge, Register


def apply_effect(project: Project, tx: Ledger, effect: Register | Judge, run: Run) -> None:
    """Apply one effect of a run, in the transaction that ends it. The same effect again changes nothing."""
    with tx.begin():
        if isinstance(effect, Judge):
            record_verdict(project, effect.verdict, run)
            return
        wanted = ModelVersion(
            name=effect.model,
            version=0,
            bundle=effect.bundle,
            model=effect.weights,
            registered=project.clock.now(),
            by=project.principal,
            run=run.id,
            card=effect.card,
        )
        register_version(project, wanted, alias=effect.alias)
