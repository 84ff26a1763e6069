"""A report says what a dataset is like and how it differs, in numbers and on a page that needs nothing but itself."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from kedge.data.report.collect import collect_report
from kedge.data.report.drift import label_drift, number_drift
from kedge.data.report.page import draw_page
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, make_examples, write_jsonl


def make(blobs: MemoryBlobs, folder: Path, rows: list[dict[str, object]]) -> str:
    folder.mkdir()
    write_jsonl(folder / "rows.jsonl", rows)
    return build_dataset(blobs, folder).artifact.digest


@pytest.fixture
def digest(blobs: MemoryBlobs, tmp_path: Path) -> str:
    rows: list[dict[str, object]] = list(make_examples(300))
    return make(blobs, tmp_path / "a", [*rows, {"input": "x " * 9000 + "<script>alert(1)</script>", "target": "1"}])


def test_numbers_labels_and_outliers_are_told(blobs: MemoryBlobs, digest: str) -> None:
    report = collect_report(blobs, digest)
    assert report.rows == sum(report.splits.values())
    length = next(each for each in report.measures if each.name == "input characters")
    assert sum(length.histogram.counts) == report.rows
    assert length.quantiles["max"] == 18_025
    (label,) = report.labels
    assert (label.name, label.rows, label.distinct) == ("even", report.rows - 1, 2)
    assert label.balance > 0.99
    assert report.outliers[0].source == "rows.jsonl:301"
    assert report.outliers[0].why.startswith("input words: 9,001")


def test_the_same_dataset_does_not_drift_and_another_does(blobs: MemoryBlobs, digest: str, tmp_path: Path) -> None:
    assert {each.verdict for each in collect_report(blobs, digest, against=digest).drift} == {"little"}
    longer = [
        {"input": f"{row['input']} {i} " * 3, "target": "1", "even": False} for i, row in enumerate(make_examples(300))
    ]
    other = make(blobs, tmp_path / "b", longer)
    drift = {each.name: each for each in collect_report(blobs, other, against=digest).drift}
    assert drift["input characters"].verdict == drift["even"].verdict == "much"
    assert drift["input characters"].p < 1e-9


class Page(HTMLParser):
    """Which tags a page has, and which of their attributes name something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in {"meta", "link", "rect", "line"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"rect", "line"}:
            assert self.open.pop() == tag


def test_the_page_loads_nothing_and_runs_nothing(blobs: MemoryBlobs, digest: str) -> None:
    page = draw_page(collect_report(blobs, digest, against=digest))
    found = Page()
    found.feed(page)
    assert found.open == []
    assert found.links == ["data:,"]
    assert "script" not in found.tags
    assert not re.search(r"url\(|@import|https?://", page)
    assert page.count("<svg") == page.count('role="img"') == page.count("aria-label")
    assert "prefers-color-scheme" in page


def test_what_rows_say_is_text_on_the_page(blobs: MemoryBlobs, tmp_path: Path) -> None:
    rows = [{**row, "kind": "<img src=x onerror=alert(1)>"} for row in make_examples(30)]
    page = draw_page(collect_report(blobs, make(blobs, tmp_path / "c", rows)))
    assert "<img" not in page
    assert "&lt;img" in page


def test_an_empty_dataset_has_a_report(blobs: MemoryBlobs, tmp_path: Path) -> None:
    assert "0 rows" in draw_page(collect_report(blobs, make(blobs, tmp_path / "d", [])))


def test_statistics_agree_with_those_of_scipy() -> None:
    scipy = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(3)
    for shift in (0.0, 0.1, 0.3):
        before, after = chance.normal(0, 1, 400), chance.normal(shift, 1, 300)
        ours, theirs = number_drift("n", before, after), scipy.ks_2samp(before, after)
        assert ours.statistic == pytest.approx(theirs.statistic)
        assert ours.p == pytest.approx(theirs.pvalue, abs=0.03)
    draw = random.Random(1)
    old = {each: draw.randrange(50, 90) for each in "abcdef"}
    new = {each: draw.randrange(40, 90) for each in "abcdef"}
    table = [[old[each] for each in "abcdef"], [new[each] for each in "abcdef"]]
    ours, theirs = label_drift("l", old, new), scipy.chi2_contingency(table)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.01)
