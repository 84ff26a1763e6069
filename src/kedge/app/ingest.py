"""Takes files in as a dataset, in whatever folder one stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.app import runs
from kedge.app.data import count_rows, listing
from kedge.app.project import FILE, Project, open_project
from kedge.app.steps.dataset import load_sources
from kedge.core.address import parse_name
from kedge.core.errors import Invalid, NotFound
from kedge.core.ports import Progress, Silent
from kedge.data.read import read_dataset, read_rejects

SILENT = Silent()

_PLAIN = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """How files become a dataset. Empty values mean: as the source and the names of the files say."""

    name: str = ""
    source: str = ""
    input: str = ""
    target: str = ""
    test: float | None = None
    validation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """A dataset made of files. `quarantined` counts what never became a row, `reasons` everything left out."""

    dataset: str
    name: str
    rows: int
    quarantined: int
    dropped: int
    reasons: Mapping[str, int]
    splits: Mapping[str, int]
    run: str
    project: str


def ingest(path: str | Path, files: Sequence[Path], options: IngestOptions, *, progress: Progress = SILENT) -> Ingested:
    """Make a dataset of files and folders, recorded as a run; the project is made if there is none at or above `path`.

    A dataset of the same name becomes its parent. Nothing in a file stops it: what cannot be a row is quarantined.
    """
    for file in files:
        if not file.exists():
            raise NotFound(f"no such file or folder: {file}", address=str(file))
    project = _open_or_make(Path(path))
    try:
        return _ingest(project, files, options, progress)
    finally:
        project.close()


def _ingest(project: Project, files: Sequence[Path], options: IngestOptions, progress: Progress) -> Ingested:
    name = parse_name(options.name, "dataset name") if options.name else _name(files[0])
    stage = f"ingest-{name.replace('.', '-')}"[:64]
    settings = {
        "name": name,
        "source": _tables(project, files, options),
        "parent": _newest(project, name),
        "allow_empty": True,
        "split": {key: value for key in ("test", "validation") if (value := getattr(options, key)) is not None},
    }
    sets = [f"stages.{stage}.step=dataset"]
    sets += [f"stages.{stage}.{key}={_toml(value)}" for key, value in settings.items()]
    result = runs.run(project, stages=[stage], sets=sets, progress=progress)
    dataset = result.outputs[stage]["dataset"]
    manifest = read_dataset(project.blobs, dataset)
    quarantined = sum(1 for reject in read_rejects(project.blobs, dataset) if not reject.row)
    return Ingested(
        dataset=dataset,
        name=name,
        rows=manifest.rows,
        quarantined=quarantined,
        dropped=sum(manifest.rejects.values()) - quarantined,
        reasons=manifest.rejects,
        splits=count_rows(manifest),
        run=result.stages[-1].run,
        project=str(project.root),
    )


def _newest(project: Project, name: str) -> str:
    found = [version.digest for version in listing(project) if version.name == name]
    return found[-1] if found else ""


def _open_or_make(path: Path) -> Project:
    try:
        return open_project(path)
    except NotFound:
        root = path.resolve()
        root.mkdir(parents=True, exist_ok=True)
        (root / FILE).write_text(f'[project]\nname = "{_plain(root.name)}"\n')
        return open_project(root)


def _name(file: Path) -> str:
    """A dataset's name from that of its first file."""
    return _plain(file.resolve().name.split(".")[0])


def _plain(text: str) -> str:
    return _PLAIN.sub("-", text.lower()).strip("-_")[:48] or "data"


def _tables(project: Project, files: Sequence[Path], options: IngestOptions) -> list[dict[str, Any]]:
    """A source with its files for each kind of file there is."""
    by_source: dict[str, list[str]] = {}
    for file in files:
        for source in [options.source] if options.source else _sources_of(file):
            by_source.setdefault(source, []).append(_written(project, file))
    fields = {key: value for key in ("input", "target") if (value := getattr(options, key))}
    return [{"name": source, "path": paths, **fields} for source, paths in by_source.items()]


def _sources_of(file: Path) -> Iterator[str]:
    """The sources that read such a file, or some file in such a folder."""
    sources = [load_sources().get(name) for name in load_sources().names()]
    options = {source.name: source.options(path=str(file.resolve())) for source in sources if source.suffixes}
    known = sorted(suffix for source in sources for suffix in source.suffixes)
    if file.is_dir():
        found = [s.name for s in sources if s.suffixes and s.find(options[s.name], file)]
    else:
        found = [s.name for s in sources if s.suffixes and file.name.endswith(s.suffixes)]
    if not found:
        raise Invalid(
            f"nothing reads {file.name}",
            address=str(file),
            hint=f"known are {', '.join(known)}; --source names another",
        )
    yield from found


def _written(project: Project, file: Path) -> str:
    """A path as the project would write it: relative if it lies inside."""
    whole = file.resolve()
    return str(whole.relative_to(project.root)) if whole.is_relative_to(project.root) else str(whole)


def _toml(value: Any) -> str:
    """A value as TOML; its strings and arrays are those of JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
