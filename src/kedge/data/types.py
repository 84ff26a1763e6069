"""What the data room works with: sources, the options of each cleaning step, and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kedge.core.artifact import Artifact
from kedge.core.dataset import DatasetManifest
from kedge.core.errors import Invalid
from kedge.data.quality.types import QualityOptions
from kedge.data.sample import SampleOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to read, and the name it goes by in rows: the same in whatever folder the data lies.

    `data` holds the bytes when they are in memory already (a part of a large file), `line` and `offset` say how many
    lines and bytes of the file come before them, and `head` is the record that names the fields of all parts. `pieces`
    says which row groups or members of the file are read, if not all. `stream` gives them when they come out of an archive, whose `budget`
    counts them.
    """

    path: Path
    label: str
    data: bytes | None = field(default=None, repr=False)
    line: int = 0
    offset: int = 0
    head: str = field(default="", repr=False)
    pieces: tuple[int, int] | None = None
    stream: Any = field(default=None, repr=False, compare=False)
    budget: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """The bytes of an image or a sound that a row refers to by digest. A reader yields it before the row."""

    digest: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run of a file's bytes, that is read for itself: where it begins and ends, and the digest of what it holds.

    Of a file of lines, `line` are those that come before, and `head` is the record that names the fields, if it lies in
    an earlier span. Of a file whose parts are read out of the whole, `pieces` are the row groups or members of this
    span, or (of a tar archive) where those members begin and end.
    """

    begin: int
    end: int
    digest: str
    line: int = 0
    head: str = field(default="", repr=False)
    pieces: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A kind of place that rows come from, registered in the group `kedge.sources`.

    `options` is a frozen dataclass. `find` lists the files, without opening any: `(options, project folder) -> files`.
    `read` names the function that reads one file, as `module:function`: `(file, options) -> iterator of Row | Reject | Medium`.
    It is looked up when needed, in several processes; whatever is in the file, it yields rejects and does not raise.
    `suffixes` are the file names that `kedge data ingest` gives to this source. `lines` are those of files in which
    any run of whole lines can be read for itself, so that large ones are read in parts, all at once. `cuts` names for other endings the function that cuts such a file, as
    `module:function`: `(file, options, bytes of a span) -> spans`, none where only the whole can be read. `code` names the modules whose
    source decides what is read ("" = that of `read`).
    """

    name: str
    options: type[Any]
    find: Callable[[Any, Path], list[SourceFile]]
    read: str
    suffixes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    cuts: Mapping[str, str] = field(default_factory=dict)
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSource:
    """A source with its options. `rights` are tags (licence, consent, origin) of its rows that say nothing of them."""

    source: Source
    options: Any
    rights: Mapping[str, str] = field(default_factory=dict)

    def find(self, root: Path) -> list[SourceFile]:
        """The files to read, by label. `Invalid` if there are none."""
        files = sorted(self.source.find(self.options, root), key=lambda file: file.label)
        if not files:
            raise Invalid(f"source {self.source.name!r} finds no file to read", hint="check its path")
        return files


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """A row-local stage by name. `open` names the function that makes it, as `module:function`: `(options) -> RowStage`
    (see `stage`); it is looked up when needed, in several processes. `options` is a frozen dataclass of plain values.
    `code` names the modules whose source decides the result: rows are read again when it changes."""

    name: str
    open: str
    options: Any
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NormaliseOptions:
    """How texts are spelt, and how long they may be, in characters."""

    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    min_chars: int = 1
    max_chars: int = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateOptions:
    """What counts as the same row twice.

    Exact duplicates have the same input and target. Two rows are near when the sets of their inputs' `shingle`-grams of
    characters or words have a Jaccard similarity of at least `near`; clusters are what near pairs connect. `drop_near`
    keeps one row of each cluster; otherwise clusters only decide the split. Words need `kedge[clean]`, and are the
    quicker way for texts of more than a few lines.
    """

    exact: bool = True
    near: float = 0.8
    shingle: int = 5
    unit: Literal["characters", "words"] = "characters"
    drop_near: bool = False

    def __post_init__(self) -> None:
        if not 0.5 <= self.near <= 1.0:
            raise Invalid("duplicates.near must be from 0.5 to 1.0")
        if not 1 <= self.shingle <= 32:
            raise Invalid("duplicates.shingle must be from 1 to 32")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Which share of the groups is held out. `group` is a tag ("" = the near-duplicate cluster).

    With `time`, a tag that sorts by time, the newest rows are the test and those before them validation. With `stratum`,
    a tag, the shares hold within each of its values, whole clusters at a time. A held-out row is rejected when its cluster, or its value of one of the tags in `unseen`, occurs in training.
    """

    test: float = 0.1
    validation: float = 0.05
    group: str = ""
    unseen: tuple[str, ...] = ()
    time: str = ""
    stratum: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.test, self.validation) < 0 or self.test + self.validation >= 1:
            raise Invalid("split.test and split.validation must be shares that add up to less than 1")
        if sum(map(bool, (self.group, self.time, self.stratum))) > 1:
            raise Invalid("split.group, split.time and split.stratum are three ways to split: choose one")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """What rows may say of their licence, consent and origin; an empty list allows everything.

    A row that is not allowed fails the build, or is left out with `action = "drop"`. One that says nothing is not
    allowed where there is a list, unless `allow_missing`.
    """

    licences: tuple[str, ...] = ()
    consents: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    allow_missing: bool = False
    action: Literal["fail", "drop"] = "fail"

    @property
    def says_something(self) -> bool:
        """Whether there is a rule at all."""
        return bool(self.licences or self.consents or self.origins)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything that decides a dataset version, except what the files say."""

    name: str
    sources: tuple[BoundSource, ...]
    normalise: NormaliseOptions = field(default_factory=NormaliseOptions)
    duplicates: DuplicateOptions = field(default_factory=DuplicateOptions)
    split: SplitOptions = field(default_factory=SplitOptions)
    parent: str = ""
    policy: PolicyOptions = field(default_factory=PolicyOptions)
    stages: tuple[StageSpec, ...] = ()
    quality: QualityOptions | None = None
    sample: SampleOptions | None = None
    vault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A dataset version that was written."""

    artifact: Artifact
    manifest: DatasetManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDiff:
    """What changed from one dataset version to another, by row id. The ids of at most `sample` rows are listed.

    A changed row counts neither as added nor as removed: another stands where it stood.
    """

    before: str
    after: str
    added: int
    removed: int
    changed: int
    moved: int
    kept: int
    added_rows: tuple[str, ...]
    removed_rows: tuple[str, ...]
    changed_rows: tuple[tuple[str, str], ...]
    moved_rows: tuple[str, ...]
    recipe: Mapping[str, tuple[Any, Any]]
