"""Approvals: a person's word that a version may take a protected alias."""

from __future__ import annotations

from kedge.app.aliases import resolve
from kedge.app.project import Project
from kedge.core.errors import Refused
from kedge.core.model import Approval
from kedge.deploy.approve import check


def approve(project: Project, address: str, *, reason: str) -> Approval:
    """Put on record that whoever runs this approves a version. Approving twice changes nothing. `Refused` for the
    version's own author, which is audited too."""
    try:
        with project.ledger.begin() as tx:
            version = resolve(tx, address, exact=True)
            wanted = Approval(
                model=version.name,
                version=version.version,
                bundle=version.bundle,
                by=project.principal,
                at=project.clock.now(),
                reason=reason.strip(),
            )
            check(wanted, version)
            given = {each.by: each for each in tx.approvals.of(version.name, version.version)}
            if wanted.by in given:
                return given[wanted.by]
            with project.recorded("approve", version.address, bundle=version.bundle, reason=wanted.reason) as inner:
                inner.approvals.add(wanted)
            return wanted
    except Refused as refusal:
        with project.recorded("refuse", address, wanted="approve", why=refusal.message):
            pass
        raise


def approvals(project: Project, address: str) -> list[Approval]:
    """Every approval of a version, oldest first."""
    version = resolve(project.ledger, address)
    return project.ledger.approvals.of(version.name, version.version)
