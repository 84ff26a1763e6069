"""Before training: how many tokens a dataset has, and more rows made of its own."""

from __future__ import annotations

import importlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from kedge.app.data import resolve
from kedge.app.project import Project
from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.data.augment import Rewrite, augment, noise, synonyms
from kedge.data.packing_types import Packing
from kedge.data.read import read_rows

Method = Literal["noise", "synonyms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmented:
    """A file of JSON Lines, and how many rows are in it."""

    path: Path
    rows: int
    made: int


def tokens(project: Project, dataset: str, *, tokenizer: Path, length: int = 2048) -> Packing:
    """How many tokens the training rows have, and what packing them into sequences of `length` costs."""
    rows = read_rows(project.blobs, resolve(project, dataset).digest, Split.TRAIN)
    measure = importlib.import_module("kedge.data.packing").measure_packing  # with tokenizers, which not everybody has
    measured: Packing = measure(rows, tokenizer, length)
    return measured


def make_more(
    project: Project, dataset: str, out: Path, *, method: Method = "noise", words: Path | None = None, copies: int = 1
) -> Augmented:
    """Write the training rows, each followed by rows made of it, as JSON Lines that a build reads with
    `split.group = "parent"`."""
    rows = read_rows(project.blobs, resolve(project, dataset).digest, Split.TRAIN)
    total = made = 0
    temporary = out.with_name(f".{out.name}.part")
    with temporary.open("wb") as file:
        for row in augment(rows, method, _rewrite(method, words), copies=copies):
            total, made = total + 1, made + ("generator" in row.tags)
            file.write(msgspec.json.encode({**row.tags, "input": row.input, "target": row.target}) + b"\n")
    temporary.replace(out)
    return Augmented(path=out, rows=total, made=made)


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
