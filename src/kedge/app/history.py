"""The whole history of a row: where it came from, what each step made of it, and in which versions it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kedge.app.data import DatasetVersion, RowView, listing, show_row
from kedge.app.project import Project
from kedge.core.dataset import Reject, Row
from kedge.core.errors import NotFound
from kedge.core.hashing import row_id
from kedge.data.locate import find_rows
from kedge.data.read import read_dataset, scan_rejects
from kedge.data.segments import Placed

MANY = 10  # rows that gave way to this one: more are counted, not told


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one step did with the row."""

    step: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVersion:
    """What one dataset version did with the row: `kept`, `rejected`, or `gone` after it had been there."""

    dataset: str
    digest: str
    fate: str
    run: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowHistory:
    """A row by id, where it stood (file, and line or number), and its fate in every version, oldest first."""

    id: str
    source: str
    row: Row | None
    versions: tuple[RowVersion, ...]


def why(project: Project, row: str) -> RowHistory:
    """The history of a row by its id or the first digits of it. `NotFound`; `Invalid` if they are ambiguous."""
    view = show_row(project, row)
    versions = tuple(_versions(project, view))
    source = view.row.source if view.row else view.reject.source if view.reject else ""
    return RowHistory(id=view.id, source=source, row=view.row, versions=versions)


def _versions(project: Project, view: RowView) -> Iterator[RowVersion]:
    seen: set[str] = set()
    for version in listing(project):
        try:
            found = find_rows(project.blobs, version.digest, view.id)
        except NotFound:
            continue
        if found:
            seen.add(version.name)
            events = tuple(_kept(project, version, found[0]))
            yield _version(version, "kept", events)
            continue
        reject = next((each for each in scan_rejects(project.blobs, version.digest) if each.row == view.id), None)
        if reject is not None:
            yield _version(version, "rejected", tuple(_rejected(project, version, reject)))
        elif version.name in seen:
            yield _version(version, "gone", (Event(step="source", said="it no longer stands where it stood"),))
            seen.discard(version.name)


def _version(version: DatasetVersion, fate: str, events: tuple[Event, ...]) -> RowVersion:
    return RowVersion(dataset=version.address, digest=version.digest, fate=fate, run=version.run, events=events)


def _kept(project: Project, version: DatasetVersion, placed: Placed) -> Iterator[Event]:
    recipe = read_dataset(project.blobs, version.digest).recipe
    row = placed.row
    yield Event(step="source", said=f"read from {row.source} by {_readers(recipe)}")
    said: dict[str, str] = {}
    for source in recipe["sources"]:
        said |= source.get("rights", {})
    added = {name: value for name, value in row.tags.items() if said.get(name) == value}
    if added:
        yield Event(step="rights", said=", ".join(f"{name} {value}" for name, value in added.items()))
    untouched = _is_as_read(row, {}) or _is_as_read(row, added)
    yield Event(step="normalise", said="left as it was" if untouched else "its text or its tags were changed since")
    for stage in recipe.get("stages", ()):
        yield Event(step=stage["name"], said="passed")
    if "policy" in recipe:
        rights = ", ".join(f"{name} {row.tags[name]}" for name in ("licence", "consent", "origin") if name in row.tags)
        yield Event(step="policy", said=f"allowed: {rights or 'nothing is said of its rights'}")
    yield from _duplicates(project, version, placed)
    group = recipe.get("split", {}).get("group", "")
    by = f"{group} {row.tags.get(group)!r}" if group else f"cluster {placed.cluster}"
    yield Event(step="split", said=f"{placed.split}, by its {by}")


def _is_as_read(row: Row, added: Mapping[str, Any]) -> bool:
    """Whether the row, without the tags that were added, is what its id was made of."""
    tags = {name: value for name, value in row.tags.items() if name not in added}
    return row_id({"input": row.input, "target": row.target, "tags": tags}, row.source) == row.id


def _duplicates(project: Project, version: DatasetVersion, placed: Placed) -> Iterator[Event]:
    row = placed.row.id
    if placed.cluster != row:
        yield Event(step="duplicates", said=f"nearly the same as {placed.cluster}, the head of its cluster")
    gave_way = [
        each
        for each in scan_rejects(project.blobs, version.digest)
        if each.reason.startswith("duplicate:") and each.detail.endswith(row)
    ]
    for each in gave_way[:MANY]:
        yield Event(step=each.reason, said=f"{each.row} from {each.source} gave way to it")
    if len(gave_way) > MANY:
        yield Event(step="duplicates", said=f"and {len(gave_way) - MANY} more")


def _rejected(project: Project, version: DatasetVersion, reject: Reject) -> Iterator[Event]:
    recipe = read_dataset(project.blobs, version.digest).recipe
    yield Event(step="source", said=f"read from {reject.source} by {_readers(recipe)}")
    yield Event(step=reject.reason, said=reject.detail or "left out")


def _readers(recipe: Mapping[str, Any]) -> str:
    return " or ".join(source["name"] for source in recipe["sources"])
