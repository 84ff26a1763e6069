"""Reports on datasets, and where a person occurs in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kedge.app.data import listing, resolve
from kedge.app.project import STATE, Project
from kedge.core.errors import NotFound
from kedge.data.privacy.index import Entry, find_subject
from kedge.data.privacy.keys import PrivacyKey
from kedge.data.report.collect import collect_report
from kedge.data.report.page import draw_page
from kedge.data.report.types import Report

KEY = Path(STATE) / "privacy.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A row of a dataset in which something was found that names a person."""

    dataset: str
    entry: Entry


def report(project: Project, dataset: str, *, against: str = "", html: Path | None = None) -> Report:
    """What a dataset is like, and how it differs from another; written as a page too if a file is named."""
    other = resolve(project, against).digest if against else ""
    made = collect_report(project.blobs, resolve(project, dataset).digest, against=other)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        temporary = html.with_name(f".{html.name}.part")
        temporary.write_text(draw_page(made), encoding="utf-8")
        temporary.replace(html)
    return made


def subject(project: Project, content: str) -> list[Occurrence]:
    """Every row of every version of every dataset in which this was found: an address, a number, however it is spelt."""
    path = project.root / KEY
    if not path.exists():
        raise NotFound(
            "no dataset of this project was looked through", hint='set privacy = { action = "mask" } in its stage'
        )
    key = PrivacyKey(secret=path.read_bytes().strip())
    return [
        Occurrence(dataset=version.address, entry=entry)
        for version in listing(project)
        for entry in find_subject(project.blobs, version.digest, key, content)
    ]
