"""Input that nobody vouches for ends in rows and records of what was left out: never in a crash, never silently changed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedge.core.dataset import Reject, Row
from kedge.data.ingest import read_part
from kedge.data.parts import cut
from kedge.data.readers import csv_records
from kedge.data.readers.any_file import read, read_as
from kedge.data.readers.json_document import split_elements
from kedge.data.sources.any_files import SOURCE, FilesOptions
from kedge.data.types import BoundSource, SourceFile

DEEP = b"[" * 200_000
GOOD = b'{"text": "a good line"}\n'


def found_in(folder: Path, **options: int) -> tuple[list[Row], list[Reject]]:
    """What reading a folder gives."""
    asked = FilesOptions(path=str(folder), **options)  # type: ignore[arg-type]  # limits
    items = [
        item
        for part in cut([BoundSource(source=SOURCE, options=asked)], folder, folder.parent / "cut")
        for item in read_part(SOURCE.read, asked, part)
    ]
    return [item for item in items if isinstance(item, Row)], [item for item in items if isinstance(item, Reject)]


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tarred(*members: tuple[str, bytes, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def nested(levels: int) -> bytes:
    data = zipped(("x.jsonl", GOOD))
    for _ in range(levels):
        data = zipped(("inner.zip", data))
    return data


# name, bytes, rows, and the reasons in their order
CASES: list[tuple[str, bytes, int, list[str]]] = [
    ("empty.jsonl", b"", 0, []),
    ("empty.parquet", b"", 0, []),
    ("bom.jsonl", b"\xef\xbb\xbf" + GOOD, 1, []),
    ("wide.jsonl", GOOD.decode().encode("utf-16"), 0, ["encoding"]),
    ("wide.csv", "text\nx\n".encode("utf-16"), 0, ["encoding"]),
    ("wide.txt", "words".encode("utf-32"), 0, ["encoding"]),
    ("bytes.jsonl", GOOD + b'{"text": "\xff\xfe"}\n' + GOOD, 2, ["encoding"]),
    (
        "surrogate.jsonl",
        b'{"text": "\\ud800"}\n{"text": "a\\u0000b"}\n{"text": "\0"}\n',
        0,
        ["surrogate", "nul", "nul"],
    ),
    ("deep.jsonl", b'{"text": ' + DEEP + b"}\n" + GOOD, 1, ["depth"]),
    ("deep.json", DEEP, 0, ["json"]),
    ("twice.jsonl", b'{"text": "a", "text": "b"}\n{"text": "a", "t": {"k": 1, "k": 1}}\n', 0, ["duplicate-key"] * 2),
    (
        "numbers.jsonl",
        b'{"text": "a", "n": NaN}\n{"text": "a", "n": 1e400}\n{"text": "a", "n": 123456789012345678901234567890}\n',
        0,
        ["number:nan", "number:float", "number:integer"],
    ),
    ("flips.jsonl", b'{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n{"text": "c", "late": true}\n', 3, []),
    ("mixed.jsonl", b'{"text": "a"}\r\n{"text": "b\\u2028"}\n{"text": "c"}\r{"text": "d"}\n', 2, ["json"]),
    ("cut.jsonl", GOOD + b'{"text": "half', 1, ["json"]),
    ("joined.jsonl", GOOD + b"\xef\xbb\xbf" + GOOD, 1, ["bom"]),
    ("array.jsonl", b"[1, 2]\nnull\n3\n", 0, ["not-an-object"] * 3),
    ("shape.jsonl", b'{"messages": [{"role": "wizard", "content": "x"}]}\n{"messages": [1]}\n', 0, ["shape"] * 2),
    ("unclosed.json", b'[{"text": "a"}, {"text": "b"}, {"text": "c"', 2, ["json"]),
    ("trailing.json", b'[{"text": "a"}] garbage', 1, ["json"]),
    ("commas.json", b'[{"text": "a"},,{"text": "b"},]', 2, ["json", "json"]),
    ("quote.csv", b'input,target\na,b\nx,"open\ny,z\n', 2, ["csv"]),
    ("ragged.csv", b"input,target\na\na,b,c\na,b\n", 1, ["ragged", "ragged"]),
    ("twice.csv", b"input,input\na,b\n", 0, ["duplicate-key"]),
    ("unknown.csv", b"x,y\n1,2\n3,4\n", 0, ["missing-input"]),
    ("old-mac.csv", b"input,target\ra,b\rc,d\r", 0, ["csv"]),
    ("nul.csv", b"input\na\0b\nc\n", 1, ["nul"]),
    ("cut.jsonl.gz", gzip.compress(GOOD * 50_000)[:-200], -1, ["archive"]),
    ("flipped.jsonl.gz", gzip.compress(GOOD)[:-6] + b"\0" * 6, -1, ["archive"]),
    ("cut.jsonl.xz", lzma.compress(GOOD * 10)[:-10], -1, ["archive"]),
    ("cut.jsonl.bz2", bz2.compress(GOOD * 10)[:-10], -1, ["archive"]),
    ("cut.jsonl.zst", bytes(pa.compress(GOOD * 100, "zstd", asbytes=True))[:-5], -1, ["archive"]),
    ("not.gz", b"\x1f\x8bnothing", 0, ["archive"]),
    ("bomb.txt.gz", gzip.compress(b"\0" * (40 << 20)), -1, ["bomb"]),
    ("bomb.zip", zipped(("a.txt", b"a" * (40 << 20)), ("b.jsonl", GOOD)), -1, ["bomb", "bomb"]),
    (
        "names.zip",
        zipped(
            ("../up.jsonl", GOOD), ("/abs.jsonl", GOOD), ("a.jsonl", GOOD), ("a.jsonl", GOOD), ("C:\\x.jsonl", GOOD)
        ),
        1,
        ["unsafe-name", "unsafe-name", "duplicate-name", "unsafe-name"],
    ),
    ("nested.zip", nested(3), 0, ["nesting"]),
    ("fine.zip", nested(2), 1, []),
    ("cut.zip", zipped(("a.jsonl", GOOD))[:-30], 0, ["archive"]),
    (
        "links.tar",
        tarred(
            ("l", tarfile.SYMTYPE, b""),
            ("h", tarfile.LNKTYPE, b""),
            ("d", tarfile.CHRTYPE, b""),
            ("f.jsonl", b"0", GOOD),
        ),
        1,
        ["not-a-file"] * 3,
    ),
    ("cut.tar", tarred(("f.jsonl", b"0", GOOD * 2000))[:5000], -1, ["archive"]),
    ("cut.parquet", parquet(text=["a"])[:-20], 0, ["parquet"]),
    ("named.parquet", GOOD, 0, ["parquet"]),
    ("other.jsonl", parquet(text=["a good row"]), 1, []),
    ("nul.parquet", parquet(text=["a\0b", "fine"]), 1, ["nul"]),
    ("bytes.parquet", parquet(text=["a"], raw=[b"\0\1"]), 0, ["type"]),
    ("cut.arrow", b"ARROW1\0\0" + b"\xff" * 50, 0, ["arrow"]),
    ("pickle.pkl", b"\x80\x04\x95\x0b", 0, ["unknown-kind"]),
    ("program", b"\x7fELF\x02\x01\x01\0", 0, ["unknown-kind"]),
    ("tags.html", b"<div>" * 1_000_000 + b"in the middle", 1, []),
    ("broken.html", b"<p>Hello<![if x", -1, []),
    ("long.txt", b"x" * 300_000, -1, []),
]


@pytest.mark.parametrize(("name", "data", "rows", "reasons"), CASES, ids=[case[0] for case in CASES])
def test_nasty_input_is_read_or_recorded(tmp_path: Path, name: str, data: bytes, rows: int, reasons: list[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(data)
    made, rejects = found_in(tmp_path / "in")
    assert [reject.reason for reject in rejects] == reasons
    assert rows < 0 or len(made) == rows
    assert all(reject.source.startswith(name) and reject.detail and "\n" not in reject.detail for reject in rejects)
    assert all(":" in reject.source or "#" in reject.source for reject in rejects)


def test_a_line_beyond_the_limit_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "long.jsonl").write_bytes(b'{"text": "' + b"x" * 200_000 + b'"}\n' + GOOD)
    (tmp_path / "in" / "long.json").write_bytes(b'[{"text": "' + b"x" * 200_000 + b'"}, ' + GOOD + b"]")
    made, rejects = found_in(tmp_path / "in", max_line_bytes=100_000)
    assert len(made) == 2
    assert [(reject.reason, reject.source) for reject in rejects] == [
        ("too-long", "long.json#0"),
        ("too-long", "long.jsonl:1"),
    ]


def test_what_is_no_file_and_names_that_are_no_text_are_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "loop.jsonl").symlink_to("loop.jsonl")
    (folder / "circle").symlink_to(folder)
    (folder / "gone.jsonl").symlink_to("nowhere")
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / os.fsdecode(b"\xff\xfe.jsonl")).write_bytes(GOOD)
    (folder / "new\nline.jsonl").write_bytes(b"bad\n")
    made, rejects = found_in(folder)
    assert [row.source for row in made] == ["\\xff\\xfe.jsonl:1"]
    assert sorted((reject.source.partition(":")[0], reject.reason) for reject in rejects) == [
        ("gone.jsonl", "unreadable"),
        ("loop.jsonl", "unreadable"),
        ("new\nline.jsonl", "json"),
        ("pipe.jsonl", "unreadable"),
        ("zero.txt", "unreadable"),
    ]


@contextmanager
def anybody() -> Iterator[None]:
    """Root may read everything: for the time of a block it is nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_file_that_may_not_be_read_loses_no_other() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in"
        folder.mkdir(mode=0o755)
        for name in "ab":
            (folder / f"{name}.jsonl").write_bytes(GOOD)
        assert len(found_in(folder)[0]) == 2
        shutil.rmtree(Path(place) / "cut", ignore_errors=True)
        Path(place).chmod(0o777)
        (folder / "a.jsonl").chmod(0)
        with anybody():
            made, rejects = found_in(folder)
        assert (len(made), [reject.reason for reject in rejects]) == (1, ["unreadable"])


def test_too_many_members_end_the_reading(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "many.zip").write_bytes(zipped(*((f"{i}.jsonl", GOOD) for i in range(30))))
    made, rejects = found_in(tmp_path / "in", max_members=10)
    assert (len(made), [reject.reason for reject in rejects]) == (10, ["too-many"])


KINDS = (
    "jsonl",
    "json",
    "csv",
    "text",
    "html",
    "parquet",
    "arrow",
    "zip",
    "tar",
    "gz",
    "bz2",
    "xz",
    "zst",
    "image/png",
)
SEEDS: dict[str, bytes] = {
    "jsonl": GOOD * 3,
    "json": b'[{"text": "one"}, {"text": "two"}]',
    "csv": b'input,target\n"a, b",c\nd,"e\nf"\n',
    "html": b"<html><body><p>Hello</p></body></html>",
    "parquet": parquet(text=["one", "two"]),
    "zip": zipped(("a.jsonl", GOOD)),
    "tar": tarred(("a.jsonl", b"0", GOOD)),
    "gz": gzip.compress(GOOD, mtime=0),
    "bz2": bz2.compress(GOOD),
    "xz": lzma.compress(GOOD),
    "zst": bytes(pa.compress(GOOD, "zstd", asbytes=True)),
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A kind of file, and bytes: of it with damage, or any."""
    kind = draw(st.sampled_from(KINDS))
    data = bytearray(SEEDS.get(kind, b"")) if draw(st.booleans()) else bytearray(draw(st.binary(max_size=200)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return kind, bytes(data)


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_bytes_of_any_kind_end_in_rows_and_rejects_with_a_place(case: tuple[str, bytes]) -> None:
    kind, data = case
    file = SourceFile(path=Path("x"), label="in/file", data=data)
    for item in read_as(kind, file, FilesOptions(), empty=not data):
        if isinstance(item, Row):
            json.dumps([item.input, item.target, dict(item.tags)], allow_nan=False).encode()
            assert item.source.startswith("in/file")
            (item.input + item.target).encode()
        elif isinstance(item, Reject):
            assert item.source.startswith("in/file")
            assert item.reason
            item.detail.encode()


@settings(max_examples=100)
@given(st.binary(max_size=300), st.text(max_size=12))
def test_whatever_the_name_says_any_bytes_are_read(data: bytes, name: str) -> None:
    file = SourceFile(path=Path("x"), label=f"in/{name}", data=data)
    assert all(isinstance(item, Row | Reject) or item.data for item in read(file, FilesOptions()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100)
@given(st.lists(JSON, max_size=6), st.integers(1, 7), st.booleans())
def test_an_array_is_split_into_its_elements_however_it_is_cut(values: list[object], size: int, wide: bool) -> None:
    text = json.dumps(values, ensure_ascii=not wide, indent=2 if wide else None).encode()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(chunk)

    chunk = size
    elements = list(split_elements(Slow(text), 1 << 20))
    assert [json.loads(element.data or b"") for element in elements] == values
    assert all(text[element.offset :].startswith(element.data or b"-") for element in elements)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), min_size=1, max_size=6))
def test_a_table_that_is_written_by_the_book_is_read_back(pairs: list[tuple[str, str]]) -> None:
    import csv

    plain: Callable[[str], str] = lambda text: text.replace("\0", "").replace("\r", "").replace("\ufeff", "")  # noqa: E731
    records = [(plain(a) or "x", plain(b)) for a, b in pairs]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("input", "target"), *records])
    try:
        data = out.getvalue().encode()
    except UnicodeEncodeError:
        return
    file = SourceFile(path=Path("x"), label="t.csv", data=data)
    found: Iterator[Row | Reject] = csv_records.read(file, FilesOptions())
    assert [(row.input, row.target) for row in found if isinstance(row, Row)] == records


def test_a_checksum_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    packed = bytearray(zipped(("a.txt", b"some text that is long enough to be packed " * 9)))
    packed[60] ^= 1
    (tmp_path / "in" / "a.zip").write_bytes(packed)
    _, rejects = found_in(tmp_path / "in")
    assert [reject.reason for reject in rejects] == ["archive"]
