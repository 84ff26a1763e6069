"""Rows come from wherever they are: databases, buckets, documents, archives, folders of other tools."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kedge.app import runs
from kedge.app.ingest import IngestOptions, ingest
from kedge.app.project import open_project
from kedge.core.dataset import Row
from kedge.core.errors import Failed, Invalid, NotFound, Refused, Unavailable
from kedge.data.read import read_rejects, read_rows
from kedge.data.sources.hub import data_files
from kedge.testing.data import make_examples, write_jsonl
from kedge.testing.s3 import CREDENTIALS, TemporaryS3

ALL = IngestOptions(name="rows", test=0.0, validation=0.0)


def rows_of(root: Path, *files: str, options: IngestOptions = ALL) -> list[Row]:
    """What is in the dataset that ingesting makes."""
    made = ingest(root, files, options)
    project = open_project(root)
    try:
        return list(read_rows(project.blobs, made.dataset))
    finally:
        project.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "rows.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (input text, target text, score real, raw blob)")
        connection.execute("insert into t values ('a question', 'an answer', 0.5, x'00ff')")
        connection.execute("insert into t values ('another one', null, null, null)")
    return path


def test_a_query_gives_its_rows(tmp_path: Path, database: Path) -> None:
    (root := tmp_path / "p").mkdir()
    rows = rows_of(root, f"sql:sqlite:///{database}#select input, target, score from t where target is not null")
    assert [(row.input, row.target, dict(row.tags)) for row in rows] == [("a question", "an answer", {"score": 0.5})]
    (root / "db.url").write_text(f"sqlite:///{database}\n")
    assert len(rows_of(root, "sql:file:db.url#select input as text from t")) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("sql:sqlite:///x.db", Invalid),
        ("sql:nothing://x#select 1", Invalid),
        ("sql:postgresql://me:secret@host/db#select 1", Invalid),
        ("sql:sqlite:///none/such/folder/x.db#select 1", Unavailable),
        ("sql:file:none#select 1", Invalid),
    ],
)
def test_a_query_that_cannot_be_asked_is_one_error(tmp_path: Path, given: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        ingest(tmp_path, [given], ALL)
    assert "secret" not in str(raised.value)


@pytest.fixture(scope="module")
def server() -> Iterator[TemporaryS3]:
    made = TemporaryS3()
    yield made
    made.close()


def test_a_bucket_is_read_and_only_what_changed_is_fetched_again(
    tmp_path: Path, server: TemporaryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstore = pytest.importorskip("obstore")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url = server.bucket().replace("/some/prefix", "")
    bucket = url.partition("?")[0].removeprefix("s3://")
    config = {"endpoint": server.address, "region": "us-east-1"}
    store = obstore.store.S3Store(bucket, config=config, client_options={"allow_http": True})
    obstore.put(store, "data/a.jsonl", b'{"text": "from a bucket"}\n')
    obstore.put(store, "data/deep/b.csv", b"text\nfrom a table\n")
    obstore.put(store, "other/c.jsonl", b'{"text": "elsewhere"}\n')
    asked = url.replace("?", "/data?")
    rows = rows_of(tmp_path, asked)
    assert [row.input for row in rows] == ["from a bucket", "from a table"]
    assert rows[0].source == f"s3://{bucket}/data/a.jsonl:1"
    fetched = tmp_path / ".kedge" / "cache" / "remote" / "objects"
    before = set(fetched.iterdir())
    obstore.put(store, "data/a.jsonl", b'{"text": "changed in the bucket"}\n')
    assert {row.input for row in rows_of(tmp_path, asked)} == {"changed in the bucket", "from a table"}
    assert len(set(fetched.iterdir()) - before) == 1
    with pytest.raises(NotFound, match="nothing is at"):
        ingest(tmp_path, [url.replace("?", "/none?")], ALL)


def test_a_folder_of_the_hub_is_its_data_and_not_what_is_said_of_it(tmp_path: Path) -> None:
    for name in ("data/train.parquet", "README.md", "dataset_info.json", "x/state.json", "more.jsonl"):
        path = tmp_path / "snapshot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = [file.label for file in data_files(tmp_path / "snapshot", "me/rows")]
    assert found == ["me/rows/more.jsonl", "me/rows/data/train.parquet"]


def test_pages_of_a_document_are_rows_and_a_broken_one_is_a_record(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    (folder := tmp_path / "in").mkdir()
    (folder / "a.pdf").write_bytes(pdf("Hello from a page"))
    (folder / "b.pdf").write_bytes(b"%PDF-1.7 nothing of the kind")
    made = ingest(tmp_path / "p", [str(folder)], ALL)
    project = open_project(tmp_path / "p")
    (row,) = read_rows(project.blobs, made.dataset)
    assert (row.input, row.source, row.tags["page"]) == ("Hello from a page", "a.pdf#1", 1)
    (reject,) = read_rejects(project.blobs, made.dataset)
    assert (reject.reason, reject.source) == ("pdf", "b.pdf:1")
    project.close()


def pdf(text: str) -> bytes:
    """A document of one page."""
    stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return body + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        count,
        table,
        count,
        len(body),
    )


def test_an_image_is_kept_by_its_digest_beside_its_row(tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    image = b"\x89PNG\r\n\x1a\n" + b"pixels"
    (folder / "cat.png").write_bytes(image)
    pq.write_table(
        pa.table({"text": ["a dog"], "image": [{"bytes": image + b"!", "path": "dog.png"}]}), folder / "d.parquet"
    )
    made = ingest(tmp_path / "p", [str(folder)], ALL)
    project = open_project(tmp_path / "p")
    cat, dog = read_rows(project.blobs, made.dataset)
    assert project.blobs.get(cat.tags["media"][0]["digest"]) == image
    assert project.blobs.get(dog.tags["image"]["digest"]) == image + b"!"
    assert (dog.tags["image"]["kind"], dog.tags["image"]["name"]) == ("image/png", "dog.png")
    project.close()


def test_rows_that_the_policy_does_not_allow_fail_the_build_and_are_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "free", "license": "CC0-1.0"}, {"text": "not free", "license": "own"}])
    write_jsonl(tmp_path / "b.jsonl", [{"text": "says nothing"}])
    stage = """[project]
name = "p"
[stages.data]
step = "dataset"
split = { test = 0.0, validation = 0.0 }
source = [{ name = "jsonl", path = "a.jsonl" }, { name = "jsonl", path = "b.jsonl", licence = "cc-by-4.0", origin = "us" }]
policy = { licences = ["cc0-1.0", "CC-BY-4.0"]%s }
"""
    (tmp_path / "kedge.toml").write_text(stage % "")
    project = open_project(tmp_path)
    with pytest.raises((Failed, Refused), match=r"(?s)1 policy:licence.*a.jsonl:2"):
        runs.run(project)
    project.close()
    (tmp_path / "kedge.toml").write_text(stage % ', action = "drop"')
    project = open_project(tmp_path)
    made = runs.run(project).outputs["data"]["dataset"]
    rows = {row.input: row.tags for row in read_rows(project.blobs, made)}
    assert rows == {"free": {"license": "CC0-1.0"}, "says nothing": {"licence": "cc-by-4.0", "origin": "us"}}
    project.close()


def test_a_killed_ingest_goes_on_from_what_it_has_read(tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    for i in range(200):
        write_jsonl(folder / f"{i:03}.jsonl", make_examples(20, begin=i * 20))
    command = [sys.executable, "-m", "kedge", "-C", str(tmp_path / "p"), "data", "ingest", str(folder), "--json"]
    packs = tmp_path / "p" / ".kedge" / "cache" / "rows" / "in"
    (tmp_path / "p").mkdir()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(packs.glob("[!.]*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]  # it is a pipe
    done = {path.name: path.stat().st_mtime_ns for path in packs.glob("[!.]*.json")}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(again.stdout)
    assert said["rows"] == 4000
    assert done
    assert all((packs / name).stat().st_mtime_ns == at for name, at in done.items())
    assert not list(packs.glob(".*"))
    alone = ingest(tmp_path / "other", [str(folder)], IngestOptions())
    assert alone.dataset == said["dataset"]
