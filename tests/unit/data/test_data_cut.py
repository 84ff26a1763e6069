"""A large file that is read in parts gives what it gives when it is read whole: the same rows and rejects, in their order."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.core.errors import Conflict
from kedge.core.ports import Silent
from kedge.data import ingest, parts
from kedge.data.build import build
from kedge.data.ingest import read_part
from kedge.data.parts import Part, cut
from kedge.data.sources.any_files import SOURCE, FilesOptions
from kedge.data.types import BoundSource, BuildRequest
from kedge.testing.blobs import MemoryBlobs

steady = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
NEVER = 1 << 40


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A folder for files; the size of parts is put back afterwards."""
    before = parts.PART
    yield tmp_path
    parts.PART = before


def cut_file(path: Path, size: int, **options: Any) -> list[Part]:
    parts.PART = size
    bound = BoundSource(source=SOURCE, options=FilesOptions(path=path.name, **options))
    cache = path.parent / "cache"
    cache.unlink(missing_ok=True)
    return cut([bound], path.parent, cache)


def read(path: Path, size: int, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    """In how many parts a file is read, and what is found."""
    found = cut_file(path, size, **options)
    plain = FilesOptions(path=path.name, **options)
    return len(found), [asdict(item) for part in found for item in read_part(SOURCE.read, plain, part)]


def check(path: Path, size: int, **options: Any) -> int:
    """The number of parts, after the comparison."""
    _, whole = read(path, NEVER, **options)
    count, cut_up = read(path, size, **options)
    assert cut_up == whole
    return count


cells = st.sampled_from(
    ["a", "one, two", '"quoted"', '"two\nlines"', '"a ""b"" c"', '"open', 'mid"dle', "", "é", "\u2028"]
)
lines = st.lists(st.lists(cells, min_size=1, max_size=3).map(",".join), max_size=40)


@steady
@given(lines, st.sampled_from([b"\n", b"\r\n"]), st.sampled_from([b"", b"\xef\xbb\xbf"]), st.integers(1, 60))
def test_records_however_quoted(path: Path, drawn: list[str], end: bytes, mark: bytes, size: int) -> None:
    content = mark + end.join([b"input,target", *(line.encode() for line in drawn), b"\xff,bad"]) + end
    (path / "rows.csv").write_bytes(content)
    check(path / "rows.csv", size)


def test_a_long_csv_is_cut_at_records_and_names_lines_of_the_whole_file(path: Path) -> None:
    text = "input,target\n" + "".join(f'"line {i}\nand its second",{i}\n' for i in range(200))
    (path / "rows.csv").write_text(text)
    assert check(path / "rows.csv", 500) > 5
    _, found = read(path / "rows.csv", 500)
    assert [row["source"] for row in found[:3]] == ["rows.csv:2", "rows.csv:4", "rows.csv:6"]
    assert found[-1]["source"] == "rows.csv:400"


def test_a_csv_without_names_of_fields_is_read_whole(path: Path) -> None:
    (path / "rows.csv").write_text("input,input\n" + "a,b\n" * 300)
    assert check(path / "rows.csv", 100) == 1


@steady
@given(st.integers(1, 60), st.integers(1, 13), st.integers(1, 3000))
def test_row_groups_of_any_size(path: Path, rows: int, group: int, size: int) -> None:
    texts = [None if i % 7 == 3 else f"text number {i}" for i in range(rows)]
    table = pa.table({"text": pa.array(texts, pa.string()), "n": list(range(rows))})
    pq.write_table(table, path / "rows.parquet", row_group_size=group)
    check(path / "rows.parquet", size)


def test_a_parquet_file_of_many_groups_is_cut(path: Path) -> None:
    table = pa.table({"text": [f"text number {i} {'x' * 50}" for i in range(2000)]})
    pq.write_table(table, path / "rows.parquet", row_group_size=100)
    assert check(path / "rows.parquet", 2000) > 5


def test_a_damaged_group_is_one_reject_wherever_it_is_cut(path: Path) -> None:
    table = pa.table({"text": [os.urandom(20).hex() for _ in range(2000)]})
    pq.write_table(table, path / "rows.parquet", row_group_size=100, use_dictionary=False)
    data = bytearray((path / "rows.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = b"\0" * 3000
    (path / "rows.parquet").write_bytes(data)
    assert check(path / "rows.parquet", 2000) > 5


names = st.sampled_from(["a.txt", "b.jsonl", "c.csv", "deep/d.txt", "../out.txt", "e.bin", "folder/"])
contents = st.sampled_from([b"A paragraph.\n\nAnother.", b'{"text": "t"}\n{"text": 1}\n', b"x,y\n1,2\n", b"\0\1", b""])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@steady
@given(st.lists(st.tuples(names, contents), max_size=12), st.integers(1, 60), st.booleans())
def test_members_of_any_name_and_content(path: Path, members: list[tuple[str, bytes]], size: int, nested: bool) -> None:
    with zipfile.ZipFile(path / "all.zip", "w") as archive:
        for number, (name, content) in enumerate(members):
            archive.writestr(f"{number // 2}{name}" if "/" not in name else name, content)
        if nested:
            archive.writestr("inner.jsonl.gz", gzip.compress(b'{"text": "inside"}\n'))
    check(path / "all.zip", size)


def test_an_archive_of_many_members_is_cut(path: Path) -> None:
    with zipfile.ZipFile(path / "all.zip", "w") as archive:
        for i in range(100):
            archive.writestr(f"{i:03}.txt", f"A paragraph with number {i}.\n\nAnd another one, {i * i}.\n")
    assert check(path / "all.zip", 300) > 5


@pytest.mark.parametrize(
    "options", [{"max_members": 50}, {"max_unpacked_bytes": 3000}, {"max_ratio": 1, "max_free_bytes": 9}]
)
def test_an_archive_that_may_pass_a_limit_is_read_whole(path: Path, options: dict[str, int]) -> None:
    with zipfile.ZipFile(path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(100):
            archive.writestr(f"{i:03}.txt", f"A paragraph with number {i}. " * 20)
    assert check(path / "all.zip", 300, **options) == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_a_name_twice_or_an_archive_in_it_is_read_whole(path: Path) -> None:
    for last in ("000.txt", "inner.zip"):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr("x.txt", "inside of it")
        with zipfile.ZipFile(path / "all.zip", "w") as archive:
            for i in range(50):
                archive.writestr(f"{i:03}.txt", f"A paragraph with number {i}.")
            archive.writestr(last, inner.getvalue())
        assert check(path / "all.zip", 100) == 1


kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
forms = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@settings(steady, max_examples=60)
@given(st.lists(st.tuples(names, contents, kinds), max_size=12), st.integers(1, 2000), forms, st.booleans())
def test_members_of_a_tar_of_any_kind(
    path: Path, members: list[tuple[str, bytes, bytes]], size: int, form: int, long: bool
) -> None:
    with tarfile.open(path / "all.tar", "w", format=form) as archive:
        for number, (name, content, kind) in enumerate(members):
            info = tarfile.TarInfo(f"{'long' * 30 if long and form != tarfile.USTAR_FORMAT else number // 2}{name}")
            info.type, info.size, info.linkname = kind, len(content) if kind == tarfile.REGTYPE else 0, "0a.txt"
            archive.addfile(info, io.BytesIO(content))
    check(path / "all.tar", size)


def write_tar(path: Path, count: int, **options: Any) -> None:
    with tarfile.open(path, "w", **options) as archive:
        for i in range(count):
            add(archive, f"{i:03}.txt", f"A paragraph with number {i}.\n\nAnd another one, {i * i}.\n".encode())


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def test_a_tar_of_many_members_is_cut(path: Path) -> None:
    write_tar(path / "all.tar", 100)
    assert check(path / "all.tar", 3000) > 5


def test_a_tar_whose_members_are_not_apart_is_read_whole(path: Path) -> None:
    write_tar(path / "all.tar", 50, format=tarfile.PAX_FORMAT, pax_headers={"comment": "of all members"})
    assert check(path / "all.tar", 3000) == 1
    for name, content in (("000.txt", b"the same name again"), ("inner.jsonl.gz", gzip.compress(b'{"text": "a"}\n'))):
        write_tar(path / "all.tar", 50)
        with tarfile.open(path / "all.tar", "a") as archive:
            add(archive, name, content)
        assert check(path / "all.tar", 3000) == 1
    write_tar(path / "all.tar", 50)
    assert check(path / "all.tar", 3000, max_members=10) == 1


@pytest.mark.parametrize("keep", [100, 5_000, 30_000, -1])
def test_a_tar_that_breaks_off_or_is_damaged_gives_the_same_in_parts(path: Path, keep: int) -> None:
    write_tar(path / "all.tar", 50)
    data = bytearray((path / "all.tar").read_bytes())
    if keep < 0:
        data[20_480:20_600] = b"\xff" * 120  # a header in the middle
    (path / "all.tar").write_bytes(data[:keep] if keep > 0 else data)
    check(path / "all.tar", 3000)


def test_a_file_that_changes_between_two_of_its_parts_is_a_conflict(path: Path) -> None:
    table = pa.table({"text": [f"text number {i} {'x' * 50}" for i in range(2000)]})
    pq.write_table(table, path / "rows.parquet", row_group_size=100)
    first, *_ = cut_file(path / "rows.parquet", 2000)
    pq.write_table(table.slice(1), path / "rows.parquet", row_group_size=100)
    with pytest.raises(Conflict, match="changed while it was read"):
        list(read_part(SOURCE.read, FilesOptions(path="rows.parquet"), first))


def test_the_dataset_is_the_same_in_parts_and_in_processes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "PACK_BYTES", 1 << 20)
    table = pa.table({"text": [f"text number {i} {'x' * 300} {i * i}" for i in range(16_000)]})
    (path / "in").mkdir()
    pq.write_table(table, path / "in" / "a.parquet", row_group_size=1000, compression="none", use_dictionary=False)
    (path / "in" / "b.csv").write_text(
        "input,target\n" + "".join(f'"csv {i}\nof two lines",{i}\n' for i in range(3000))
    )
    source = BoundSource(source=SOURCE, options=FilesOptions(path="in"))

    def made(name: str, size: int) -> tuple[str, int]:
        parts.PART = size
        result = build(
            BuildRequest(name="rows", sources=(source,)),
            root=path,
            folder=path / name,
            blobs=MemoryBlobs(),
            progress=Silent(),
            cache=path / name / "rows",
        )
        return result.artifact.digest, len(list((path / name / "rows").glob("*.json")))

    whole, packs = made("whole", NEVER)
    again, more = made("parts", 500_000)
    assert again == whole
    assert more > packs == 2
