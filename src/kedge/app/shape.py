"""Before training: how many tokens a dataset has, and more rows made of its own."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from kedge.app.data import resolve
from kedge.app.project import Project
from kedge.app.rewrites import RewriteOptions, Rewriter
from kedge.core.dataset import Row, Split
from kedge.core.errors import Invalid
from kedge.core.ports import Progress, Silent
from kedge.data.augment import Rewrite, augment, family, noise, synonyms
from kedge.data.packing_types import Packing
from kedge.data.read import read_rows

Method = Literal["noise", "synonyms", "paraphrase", "back-translation"]

SILENT = Silent()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreOptions:
    """How rows are made of rows: at most `copies` of each. `words` are the synonyms, `anew` is for what a model says."""

    method: Method = "noise"
    words: Path | None = None
    copies: int = 1
    anew: RewriteOptions = field(default_factory=RewriteOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmented:
    """A file of JSON Lines, and how many rows are in it. `refused` texts were asked for and not said anew."""

    path: Path
    rows: int
    made: int
    refused: int = 0


def tokens(project: Project, dataset: str, *, tokenizer: Path, length: int = 2048) -> Packing:
    """How many tokens the training rows have, and what packing them into sequences of `length` costs."""
    rows = read_rows(project.blobs, resolve(project, dataset).digest, Split.TRAIN)
    measure = importlib.import_module("kedge.data.packing").measure_packing  # with tokenizers, which not everybody has
    measured: Packing = measure(rows, tokenizer, length)
    return measured


def make_more(
    project: Project, dataset: str, out: Path, options: MoreOptions, *, progress: Progress = SILENT
) -> Augmented:
    """Write the training rows, each followed by rows made of it, as JSON Lines that a build reads with
    `split.group = "parent"`. `Unavailable` when an endpoint does not answer: run again, and only the rest is asked for.
    """
    version = resolve(project, dataset)
    rows = read_rows(project.blobs, version.digest, Split.TRAIN)
    rewriter = None
    if options.method == "noise" or options.method == "synonyms":
        families = augment(rows, options.method, _rewrite(options.method, options.words), copies=options.copies)
    else:
        rewriter = Rewriter(project, options.method, options.anew, project.state / "cache" / "rewrites")
        families = _said_anew(rows, rewriter, options)
    progress.start(version.splits[str(Split.TRAIN)], "making rows")
    total = made = 0
    temporary = out.with_name(f".{out.name}.part")
    try:
        with temporary.open("wb") as file:
            for row in families:
                made += "generator" in row.tags
                total += 1
                progress.advance(int(row.tags["parent"] == row.id))
                file.write(msgspec.json.encode({**row.tags, "input": row.input, "target": row.target}) + b"\n")
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return Augmented(path=out, rows=total, made=made, refused=rewriter.refused if rewriter else 0)


def _said_anew(rows: Iterable[Row], rewriter: Rewriter, options: MoreOptions) -> Iterator[Row]:
    for row, texts in rewriter.rewrite(rows, options.copies):
        yield from family(row, options.method, texts, rewriter.settings)


def _rewrite(method: Method, words: Path | None) -> Rewrite:
    if method == "noise":
        return noise()
    if words is None:
        raise Invalid("synonyms need a list of words", hint="--words FILE, a TOML table of lists")
    try:
        return synonyms(msgspec.convert(tomllib.loads(words.read_text("utf-8")), dict[str, list[str]]))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(
            f"{words} is not a list of synonyms: {error}", hint='lines as quick = ["fast", "swift"]'
        ) from error
