"""What leaves a project is read by the field's own tools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kedge.core.ports import Silent
from kedge.data import export as module
from kedge.data import segments
from kedge.data.card import card
from kedge.data.export import export, segment_files
from kedge.data.types import BuildResult
from kedge.testing.blobs import MemoryBlobs
from kedge.testing.data import build_dataset, make_examples, write_jsonl


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MemoryBlobs, BuildResult]:
    """A dataset in many small segments."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 8000)
    monkeypatch.setattr(segments, "GROUP_ROWS", 16)
    monkeypatch.setattr(module, "TOGETHER", 2)
    blobs = MemoryBlobs()
    rows = [{**example, "licence": "cc0-1.0", "origin": "made up"} for example in make_examples(300)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    return blobs, build_dataset(blobs, tmp_path)


def test_cards_are_valid_croissant(tmp_path: Path, built: tuple[MemoryBlobs, BuildResult]) -> None:
    pytest.importorskip("mlcroissant")
    blobs, made = built
    export(blobs, made.artifact.digest, tmp_path / "out", Silent())
    stored = card(made.manifest, made.artifact.digest, segment_files(made.manifest), published="2026-11-22")
    (tmp_path / "stored.json").write_text(json.dumps(stored))
    assert stored["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert stored["license"] == "cc0-1.0"
    for path in (tmp_path / "out" / "croissant.json", tmp_path / "stored.json"):
        program = Path(sys.executable).with_name("mlcroissant")
        done = subprocess.run([program, "validate", "--jsonld", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr.lower()


@pytest.mark.filterwarnings("ignore")
def test_an_export_is_read_by_pandas_polars_and_datasets(
    tmp_path: Path, built: tuple[MemoryBlobs, BuildResult]
) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    blobs, made = built
    files = export(blobs, made.artifact.digest, tmp_path / "out", Silent())
    train = [path for path in files if path.name.startswith("train")]
    assert len(train) > 1
    expected = made.manifest.profile["splits"]["train"]
    assert sum(len(pandas.read_parquet(path)) for path in train) == expected
    frame = polars.read_parquet(train)
    assert frame.height == expected
    assert frame.schema["even"] == polars.Boolean
    code = "import datasets, sys; print({k: len(v) for k, v in datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2]).items()})"
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "out"), str(tmp_path / "cache")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == str(dict(made.manifest.profile["splits"]))
