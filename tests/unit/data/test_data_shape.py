"""Rows are drawn by weight, and split by time or stratum."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.data.read import read_rejects, read_rows
from kedge.data.sample import SampleOptions, draw
from kedge.data.types import SplitOptions
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, divide_rows, make_examples, make_rows, write_jsonl

IDS = [row.id for row in make_rows(*map(str, range(100)))]
KINDS = ["a"] * 70 + ["b"] * 20 + ["c"] * 10


def counts(options: SampleOptions) -> Counter[str]:
    return Counter(KINDS[at] for at in draw(IDS, KINDS, options))


def test_a_sample_has_its_size_and_keeps_the_shares() -> None:
    assert counts(SampleOptions(size=50)) == {"a": 35, "b": 10, "c": 5}


def test_classes_are_balanced_to_the_scarcest() -> None:
    assert counts(SampleOptions(tag="k", balance=True)) == {"a": 10, "b": 10, "c": 10}


def test_a_mixture_follows_the_weights() -> None:
    assert counts(SampleOptions(tag="k", weights={"a": 1, "b": 1, "c": 0})) == {"a": 20, "b": 20}
    assert counts(SampleOptions(tag="k", weights={"a": 3, "b": 1, "c": 0}, size=40)) == {"a": 30, "b": 10}


def test_who_is_drawn_does_not_depend_on_the_order() -> None:
    options = SampleOptions(size=30)
    forward = {IDS[at] for at in draw(IDS, KINDS, options)}
    backward = {IDS[::-1][at] for at in draw(IDS[::-1], KINDS[::-1], options)}
    assert forward == backward
    assert forward != {IDS[at] for at in draw(IDS, KINDS, SampleOptions(size=30, seed=1))}


def test_rows_not_drawn_are_on_record(blobs: MemoryBlobs, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", make_examples(60))
    built = build_dataset(blobs, tmp_path, sample=SampleOptions(tag="even", balance=True, size=20))
    rows = list(read_rows(blobs, built.artifact.digest))
    assert Counter(row.tags["even"] for row in rows) == {True: 10, False: 10}
    assert Counter(reject.reason for reject in read_rejects(blobs, built.artifact.digest)) == {"sample": 40}


def test_the_newest_rows_are_the_test() -> None:
    words = [
        "apple tree",
        "river bank",
        "stone wall",
        "cloud cover",
        "paper boat",
        "night train",
        "salt mine",
        "glass eye",
    ]
    rows = [row for i, text in enumerate(words) for row in make_rows(f"{text} number {i}", day=f"2024-01-{i + 1:02}")]
    found = divide_rows(rows, SplitOptions(time="day", test=0.25, validation=0.25))
    days = {
        split: [row.tags["day"][-2:] for row, s in zip(found.rows, found.splits, strict=True) if s is split]
        for split in Split
    }
    assert days == {Split.TRAIN: ["01", "02", "03", "04"], Split.VALIDATION: ["05", "06"], Split.TEST: ["07", "08"]}


def test_each_stratum_has_its_shares() -> None:
    rows = [
        row
        for i in range(60)
        for row in make_rows(f"{hash_words(i)} {i * 7919}", kind="rare" if i % 6 == 0 else "common")
    ]
    found = divide_rows(rows, SplitOptions(stratum="kind", test=0.2, validation=0.1))
    told = Counter((row.tags["kind"], split) for row, split in zip(found.rows, found.splits, strict=True))
    assert told == {
        ("rare", Split.TEST): 2, ("rare", Split.VALIDATION): 1, ("rare", Split.TRAIN): 7,
        ("common", Split.TEST): 10, ("common", Split.VALIDATION): 5, ("common", Split.TRAIN): 35,
    }  # fmt: skip


def hash_words(i: int) -> str:
    return " ".join(chr(97 + (i * k * k + 3 * k) % 26) * (1 + (i + k) % 5) for k in range(1, 9))


def test_a_row_without_the_tag_is_named() -> None:
    with pytest.raises(Invalid, match="f:1 has no such tag"):
        divide_rows(make_rows("x"), SplitOptions(time="day"))


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(Invalid, match="choose one"):
        SplitOptions(group="a", time="b")
    with pytest.raises(Invalid, match=r"sample\.tag"):
        SampleOptions(balance=True)
