"""The audit chain: read and checked."""

from __future__ import annotations

from collections.abc import Iterator

from kedge.app.project import Project
from kedge.core.audit import AuditRecord
from kedge.govern import chain
from kedge.govern.chain import ChainReport as ChainReport

_PAGE = 1000


def verify(project: Project, *, head: str = "") -> ChainReport:
    """Check every record. `head` is a hash noted earlier and kept elsewhere: with it, a cut-off end is seen too."""
    return chain.verify(_records(project), head=head)


def listing(project: Project, *, subject: str = "", after: int = 0, limit: int = 0) -> list[AuditRecord]:
    """Records in order, from the one after `after`; those whose subject begins with `subject`; the last `limit` of
    them (0: all)."""
    found = [record for record in _records(project, after) if record.subject.startswith(subject)]
    return found[-limit:] if limit else found


def _records(project: Project, after: int = 0) -> Iterator[AuditRecord]:
    while page := project.ledger.audit.records(after=after, limit=_PAGE):
        yield from page
        after = page[-1].seq
