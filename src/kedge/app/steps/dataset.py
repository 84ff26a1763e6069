"""Step `dataset`: reads raw files, cleans them, and divides them so that nothing leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from kedge.app.project import STATE
from kedge.core.address import parse_name
from kedge.core.artifact import ArtifactKind
from kedge.core.catalogue import Catalogue, nearest
from kedge.core.errors import Invalid
from kedge.core.hashing import digest_of
from kedge.core.step import Step
from kedge.data.clean.types import CleanOptions, OverlapOptions
from kedge.data.contract_types import ContractOptions
from kedge.data.fingerprint import fingerprint
from kedge.data.policy import RIGHTS
from kedge.data.privacy.types import PrivacyOptions
from kedge.data.quality.types import QualityOptions
from kedge.data.sample import SampleOptions
from kedge.data.types import (
    BoundSource,
    DuplicateOptions,
    NormaliseOptions,
    PolicyOptions,
    Source,
    SourceFile,
    SplitOptions,
)
from kedge.plugins import catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOptions:
    """Where rows come from (a table with a source's `name` and its options, or several), and how they are cleaned.

    A source's table may also say the `licence`, `consent` and `origin` of its rows; `policy` says which are allowed.

    `name` is the dataset's ("" = the stage's). `parent` is the digest of the version that this one replaces: rows that
    it has in place are not stored again. Without `allow_empty`, a dataset without a row is an error.

    In this order, where they are given: `clean` repairs texts, `privacy` looks for what names a person, `overlap` keeps
    the texts of an evaluation out, `contract` holds rows to rules, `features` names plug-ins of `kedge.features` by
    column, `quality` counts what texts are judged by, and `sample` draws.
    """

    source: Mapping[str, Any] | tuple[Mapping[str, Any], ...]
    name: str = ""
    normalise: NormaliseOptions = field(default_factory=NormaliseOptions)
    duplicates: DuplicateOptions = field(default_factory=DuplicateOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    parent: str = ""
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    clean: CleanOptions | None = None
    privacy: PrivacyOptions | None = None
    overlap: OverlapOptions | None = None
    contract: ContractOptions | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    quality: QualityOptions | None = None
    sample: SampleOptions | None = None
    allow_empty: bool = False

    def __post_init__(self) -> None:
        if self.name:
            parse_name(self.name, "dataset name")
        if not self.source:
            raise Invalid("a dataset needs a source", hint='as in source = { name = "jsonl", path = "rows.jsonl" }')


def load_sources() -> Catalogue[Source]:
    """Every kind of source that is installed."""
    return catalogue("source", "kedge.sources")


def bind_sources(options: DatasetOptions) -> tuple[BoundSource, ...]:
    """The sources with their own options. `NotFound` and `Invalid` name the nearest."""
    known = load_sources()
    tables = (options.source,) if isinstance(options.source, Mapping) else options.source
    return tuple(_bind(known, table) for table in tables)


def _bind(known: Catalogue[Source], table: Mapping[str, Any]) -> BoundSource:
    given = dict(table)
    name = given.pop("name", "")
    if not isinstance(name, str) or not name:
        raise Invalid("a source needs a name", hint=nearest("", known.names()))
    source = known.get(name)
    rights = {key: str(value) for key in RIGHTS if (value := given.pop(key, ""))}
    keys = [each.name for each in fields(source.options)]
    for key in given:
        if key not in keys:
            raise Invalid(f"source {name!r} has no option {key!r}", address=f"source.{key}", hint=nearest(key, keys))
    try:
        return BoundSource(source=source, options=msgspec.convert(given, source.options), rights=rights)
    except msgspec.ValidationError as error:
        raise Invalid(f"source {name!r}: {error}") from error


def digest_files(options: DatasetOptions, root: Path) -> str:
    """The digest of the files the sources read; quick when none has changed."""
    remembered = hashlib.sha256(repr(options.source).encode()).hexdigest()[:16]
    sources = bind_sources(options)
    files = [file for bound in sources for file in bound.find(root)]
    against = options.overlap.against if options.overlap else ()
    files += [SourceFile(path=root / place, label=place) for place in against if not place.startswith("sha256:")]
    content = fingerprint(files, root / STATE / "cache" / "files" / f"{remembered}.json")
    return digest_of([[bound.source.read for bound in sources], content])


_ROOM: tuple[str, ...] = (
    "build",
    "clusters",
    "code",
    "digests",
    "divide",
    "duplicates",
    "ingest",
    "keyed",
    "lines",
    "locate",
)
_ROOM += (
    "normalise",
    "packs",
    "parts",
    "policy",
    "profile",
    "read",
    "readers",
    "rights",
    "rows",
    "segments",
    "shapes",
    "sources",
    "split",
    "stage",
    "store",
)
_ROOM += ("strict", "tags", "types")
_ROOM += ("clean", "columns", "contract", "contract_types", "features", "overlap", "privacy", "quality", "sample")
_TEXT: tuple[str, ...] = (
    "checksums",
    "compiled",
    "domains",
    "identifiers",
    "minhash",
    "national",
    "ragged",
    "secrets",
    "shingles",
    "spans",
)
_TEXT += ("unicode",)

STEP = Step(
    name="dataset",
    options=DatasetOptions,
    work="kedge.app.work.dataset:work",
    outputs={"dataset": ArtifactKind.DATASET},
    code=(
        "kedge.app.work.cleaning",
        "kedge.app.work.dataset",
        *(f"kedge.data.{name}" for name in _ROOM),
        *(f"kedge.text.{name}" for name in _TEXT),
    ),
    packages=("ftfy", "numba", "numpy", "py3langid", "pyarrow", "selectolax"),
    outside=digest_files,
    summary="Read raw files, clean them, and divide them so that nothing leaks.",
)
