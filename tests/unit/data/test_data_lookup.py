"""The rows nearest to a text are found through the index, and without it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.core.ports import Silent
from kedge.data.lookup import build, nearest_rows, scan_rows, search
from kedge.data.lookup.build import build_index
from kedge.data.lookup.search import read_index
from kedge.data.read import read_rows
from kedge.data.types import SplitOptions
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, write_jsonl
from kedge.testing.progress import RecordingProgress

WORDS = [f"{a}{b}" for a in ("kel", "mor", "tan", "vis", "rup", "sol") for b in ("a", "en", "ix", "ost", "um", "yr")]
PLANTED = {"input": "the quixotic zeppelin hovers over jvzfq", "target": "a planted answer"}


def make_texts(count: int) -> list[dict[str, str]]:
    chance = random.Random(5)
    return [{"input": " ".join(chance.choices(WORDS, k=12)), "target": chance.choice(WORDS)} for _ in range(count)]


@pytest.fixture
def dataset(blobs: MemoryBlobs, tmp_path: Path) -> str:
    texts = make_texts(800)
    write_jsonl(tmp_path / "rows.jsonl", [*texts[:500], PLANTED, *texts[500:]])
    return build_dataset(blobs, tmp_path, split=SplitOptions(test=0.1, validation=0, seed=2)).artifact.digest


@pytest.fixture
def index(blobs: MemoryBlobs, tmp_path: Path, dataset: str) -> str:
    return build_index(blobs, dataset, folder=tmp_path / "index", progress=Silent()).digest


def test_the_planted_row_is_found(blobs: MemoryBlobs, index: str) -> None:
    best, *others = nearest_rows(blobs, index, "does a zeppelin, a Quixotic one, hover over JVZFQ kela?")
    assert best.row.input == PLANTED["input"]
    assert best.row.source == "rows.jsonl:501"
    assert all(other.similarity < best.similarity for other in others)


def test_a_row_is_its_own_nearest_with_similarity_one(blobs: MemoryBlobs, dataset: str, index: str) -> None:
    for row in list(read_rows(blobs, dataset, Split.TRAIN))[::50]:
        best = nearest_rows(blobs, index, f"{row.input}\n{row.target}", 1)[0]
        assert (best.row, best.similarity) == (row, 1.0)


def test_only_training_rows_are_found(blobs: MemoryBlobs, dataset: str, index: str) -> None:
    held_out = {row.id for row in read_rows(blobs, dataset, Split.TEST)}
    assert held_out
    for row in list(read_rows(blobs, dataset, Split.TEST))[:10]:
        assert not {hit.row.id for hit in nearest_rows(blobs, index, row.input, 20)} & held_out


def test_hits_are_in_order_and_as_many_as_asked_for(blobs: MemoryBlobs, index: str) -> None:
    hits = nearest_rows(blobs, index, " ".join(WORDS[:10]), 12)
    assert len(hits) == 12 == len({hit.row.id for hit in hits})
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)


@pytest.mark.parametrize("text", ["", "!!! ...", "unknownwordindeed", "\N{GRINNING FACE}"])
def test_a_text_that_shares_nothing_has_no_neighbours(blobs: MemoryBlobs, index: str, text: str) -> None:
    assert nearest_rows(blobs, index, text) == []


def test_reading_every_row_finds_what_the_index_finds(blobs: MemoryBlobs, dataset: str, index: str) -> None:
    text = f"{PLANTED['input']} {' '.join(WORDS[:4])}"
    assert scan_rows(blobs, dataset, text) == nearest_rows(blobs, index, text)


def test_a_small_budget_still_finds_by_the_rarest_features(
    blobs: MemoryBlobs, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "BUDGET", 3)
    text = f"{' '.join(WORDS)} zeppelin"
    assert PLANTED["input"] in {hit.row.input for hit in nearest_rows(blobs, index, text)}


def test_the_index_is_the_same_each_time_and_reports_progress(
    blobs: MemoryBlobs, tmp_path: Path, dataset: str, index: str
) -> None:
    progress = RecordingProgress()
    assert build_index(blobs, dataset, folder=tmp_path / "again", progress=progress).digest == index
    assert progress.tasks[0].done == read_index(blobs, index).rows
    assert read_index(blobs, index).dataset == dataset
    assert list((tmp_path / "again").iterdir()) == []


def test_what_most_rows_have_in_common_is_left_out(
    blobs: MemoryBlobs, tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "COMMON_LEAST", 50)
    postings = build.collect(iter(enumerate(["common word"] * 100 + ["common rare", "common"])), Silent())
    assert sorted(postings.counts.tolist()) == [0, 0, 0, 1, 1]
    index = build_index(blobs, dataset, folder=tmp_path / "index", progress=Silent()).digest
    row = next(read_rows(blobs, dataset, Split.TRAIN))
    best = nearest_rows(blobs, index, f"{row.input}\n{row.target}", 1)[0]
    assert (best.row, best.similarity) == (row, 1.0)


def test_deleted_rows_are_not_found(blobs: MemoryBlobs, tmp_path: Path, dataset: str) -> None:
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    lines[500] = ""
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    split = SplitOptions(test=0.1, validation=0, seed=2)
    version = build_dataset(blobs, tmp_path, split=split, parent=dataset)
    assert any(segment.deleted for segment in version.manifest.segments)
    index = build_index(blobs, version.artifact.digest, folder=tmp_path / "index", progress=Silent()).digest
    assert nearest_rows(blobs, index, "quixotic zeppelin jvzfq") == []
    last = list(read_rows(blobs, version.artifact.digest, Split.TRAIN))[-1]
    assert nearest_rows(blobs, index, f"{last.input}\n{last.target}", 1)[0].row == last


def test_what_is_no_index_is_refused(blobs: MemoryBlobs, dataset: str) -> None:
    with pytest.raises(Invalid, match="not an index"):
        nearest_rows(blobs, dataset, "text")


def test_a_dataset_without_training_rows_has_no_index(blobs: MemoryBlobs, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("nonsense\n")
    empty = build_dataset(blobs, tmp_path).artifact.digest
    with pytest.raises(Invalid, match="no training rows"):
        build_index(blobs, empty, folder=tmp_path / "index", progress=Silent())
    assert scan_rows(blobs, empty, "text") == []
