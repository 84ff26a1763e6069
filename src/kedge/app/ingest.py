"""Takes files in as a dataset, in whatever folder one stands."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from kedge.app import runs
from kedge.app.data import count_rows, listing
from kedge.app.project import FILE, Project, open_project
from kedge.app.steps.dataset import load_sources
from kedge.core.address import parse_name
from kedge.core.errors import NotFound
from kedge.core.ports import Progress, Silent
from kedge.data.policy import RIGHTS
from kedge.data.read import read_dataset
from kedge.data.sources.remote import is_remote
from kedge.data.types import Source

logger = logging.getLogger(__name__)

SILENT = Silent()

_PLAIN = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestOptions:
    """How files become a dataset. Empty values mean: as the source and the names of the files say."""

    name: str = ""
    source: str = ""
    input: str = ""
    target: str = ""
    licence: str = ""
    consent: str = ""
    origin: str = ""
    executor: str = "local"
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


def ingest(path: str | Path, files: Sequence[str], options: IngestOptions, *, progress: Progress = SILENT) -> Ingested:
    """Make a dataset of files, folders, patterns and URLs, recorded as a run; the project is made if there is none at or above `path`.

    A dataset of the same name becomes its parent. Nothing in a file stops it: what cannot be a row is quarantined.
    """
    for file in files:
        if not is_remote(file) and not _is_there(file):
            raise NotFound(f"no such file or folder: {file}", address=file)
    project = _open_or_make(Path(path))
    try:
        return _ingest(project, files, options, progress)
    finally:
        project.close()


def _ingest(project: Project, files: Sequence[str], options: IngestOptions, progress: Progress) -> Ingested:
    name = parse_name(options.name, "dataset name") if options.name else _name(files[0])
    stage = f"ingest-{name.replace('.', '-')}"[:64]
    settings = {
        "name": name,
        "source": _tables(project, files, options),
        "allow_empty": True,
        "split": {key: value for key in ("test", "validation") if (value := getattr(options, key)) is not None},
    }

    def sets(parent: str) -> list[str]:
        told = {**settings, "parent": parent}
        return [f"stages.{stage}.step=dataset", *(f"stages.{stage}.{key}={_toml(told[key])}" for key in told)]

    newest = _newest(project, name)
    result = runs.run(
        project,
        stages=[stage],
        sets=sets(newest),
        settled=runs.Settled(sets(read_dataset(project.blobs, newest).parent), newest) if newest else None,
        executor=options.executor,
        progress=progress,
    )
    dataset = result.outputs[stage]["dataset"]
    manifest = read_dataset(project.blobs, dataset)
    quarantined = int(manifest.profile["quarantined"])
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


def _is_there(file: str) -> bool:
    if any(mark in file for mark in "*?["):
        return Path(file).exists() or bool(_matches(file))
    return Path(file).exists() or Path(file).is_symlink()


def _matches(pattern: str) -> list[Path]:
    whole = Path(pattern).absolute()
    fixed = takewhile(lambda part: not any(mark in part for mark in "*?["), whole.parts)
    base = Path(*fixed)
    return sorted(base.glob(str(whole.relative_to(base))))


def _open_or_make(path: Path) -> Project:
    try:
        return open_project(path)
    except NotFound:
        root = path.resolve()
        root.mkdir(parents=True, exist_ok=True)
        (root / FILE).write_text(f'[project]\nname = "{_plain(root.name)}"\n')
        logger.warning("made a project", extra={"file": str(root / FILE)})
        return open_project(root)


def _name(file: str) -> str:
    """A dataset's name from that of its first file."""
    if file.startswith("sql:"):
        return "query"
    last = file.partition("?")[0].partition("@")[0].rstrip("/").rpartition("/")[2]
    name = last.removeprefix("hf:") if is_remote(file) else Path(os.path.realpath(file)).name
    return _plain(name.split(".")[0].replace("*", ""))


def _plain(text: str) -> str:
    return _PLAIN.sub("-", text.lower()).strip("-_")[:48] or "data"


def _tables(project: Project, files: Sequence[str], options: IngestOptions) -> list[dict[str, Any]]:
    """The source that reads files by what they are, and beside it those of plug-ins that read others."""
    paths = [path for file in files for path in _written(project, file)]
    fields = {key: value for key in ("input", "target", *RIGHTS) if (value := getattr(options, key))}
    if options.source:
        return [{"name": options.source, "path": paths, **fields}]
    extra = _plugins(files)
    skipped = {"passed_over": [suffix for source in extra for suffix in source.suffixes]} if extra else {}
    tables: list[dict[str, Any]] = [{"name": "files", "path": paths, **skipped, **fields}]
    return tables + [{"name": source.name, "path": paths} for source in extra]


def _plugins(files: Sequence[str]) -> list[Source]:
    """Sources that read files which no reader of ours knows, as far as there are such files."""
    known = load_sources().get("files").suffixes
    every = [load_sources().get(name) for name in load_sources().names()]
    others = [source for source in every if source.suffixes and not source.suffixes[0].endswith(known)]
    return [source for source in others if any(_has(source, file) for file in files)]


def _has(source: Source, file: str) -> bool:
    path = Path(file)
    return (
        bool(source.find(source.options(path=str(path.resolve())), path))
        if path.is_dir()
        else file.endswith(source.suffixes)
    )


def _written(project: Project, file: str) -> list[str]:
    """A path as the project would write it: relative if it lies inside; a pattern outside as what it matches."""
    if is_remote(file):
        return [file]
    whole = Path(file).absolute()
    real = Path(os.path.realpath(whole))  # which takes a loop of links, for its reader to refuse
    if real.is_relative_to(project.root):
        return [str(real.relative_to(project.root))]
    if any(mark in file for mark in "*?[") and not whole.exists():
        return [os.path.realpath(match) for match in _matches(file)]
    return [str(real)]


def _toml(value: Any) -> str:
    """A value as TOML; its strings and arrays are those of JSON."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
