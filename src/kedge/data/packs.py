"""What was read of files, kept on disk from one build to the next: Arrow batches by part, in packs that appear whole."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from kedge.core.dataset import Reject
from kedge.data.arrays import from_numpy, strings
from kedge.data.numbers import NUMBERS, ONLY_NUMBERS, NumbersWriter, read_numbers
from kedge.data.stage import BATCH
from kedge.data.tags import count_tags

SUFFIX = ".arrow"
REJECTS_SUFFIX = ".rejects"
INDEX_SUFFIX = ".json"
NUMBERS_SUFFIX = ".numbers"
SCAN = 4096  # rows that a scan gives at a time, if the batches of small files add up to so many
HELD = 96 << 20  # bytes of columns that are held while rows of them are picked
NEAR = 64  # batches that are read for some rows of theirs, though all rows might be held
FEW_TAGS = 16  # different tags of a part that are told with it
_OPEN = 16
_SUFFIXES = (SUFFIX, REJECTS_SUFFIX, NUMBERS_SUFFIX, INDEX_SUFFIX)  # the index last

REJECT = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("source", "reason", "detail", "row")])
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


class Entry(msgspec.Struct, frozen=True):
    """What a pack holds of one part: its batches, from which on and how many rows each has; the same for rejects.

    `begin` is the number of its first row in the pack. `media` names the files of the folder `media` that the rows
    refer to. `tags` has the tags of the rows, with how many rows have just these, if there are few.
    """

    key: str
    first: int
    rows: list[int]
    first_reject: int
    rejects: list[int]
    begin: int
    media: list[str] = []
    tags: dict[str, int] | None = None


class Located(msgspec.Struct, frozen=True):
    """An entry, and the pack that holds it."""

    pack: str
    entry: Entry


class PackWriter:
    """Writes one pack. Nothing of it can be found before `close`."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name = folder, name
        self._mark = secrets.token_hex(6)
        self._stack = ExitStack()
        self._columns = [name for name in schema.names if name not in ONLY_NUMBERS]
        self._rows = self._open(SUFFIX, pa.schema([schema.field(name) for name in self._columns]))
        self._rejects = self._open(REJECTS_SUFFIX, REJECT)
        self._numbers = NumbersWriter(self._temporary(NUMBERS_SUFFIX))
        self._counts = [0, 0]
        self._begin = 0
        self._entries: list[Entry] = []

    def add(
        self, key: str, batches: Iterable[tuple[pa.RecordBatch, Sequence[Reject]]], media: Iterable[str] = ()
    ) -> None:
        """Write what one part gave."""
        first, first_reject = self._counts
        rows: list[int] = []
        rejects: list[int] = []
        tags: Counter[str] = Counter()
        for batch, rejected in batches:
            if batch.num_rows:
                if len(tags) <= FEW_TAGS:
                    tags.update(count_tags(batch.column("tags")))
                self._rows.write_batch(batch.select(self._columns))
                self._numbers.add(batch)
                rows.append(batch.num_rows)
            if rejected:
                columns = [[getattr(each, name) for each in rejected] for name in REJECT.names]
                self._rejects.write_batch(pa.record_batch(columns, schema=REJECT))
                rejects.append(len(rejected))
        self._counts = [first + len(rows), first_reject + len(rejects)]
        few = dict(tags) if len(tags) <= FEW_TAGS else None
        self._entries.append(Entry(key, first, rows, first_reject, rejects, self._begin, sorted(media), few))
        self._begin += sum(rows)

    def close(self) -> list[Entry]:
        """Make the pack appear, its index last."""
        self._stack.close()
        self._numbers.close()
        index = self._temporary(INDEX_SUFFIX)
        index.write_bytes(msgspec.json.encode(self._entries))
        for suffix in _SUFFIXES:
            self._temporary(suffix).replace(self._folder / f"{self._name}{suffix}")
        return self._entries

    def abandon(self) -> None:
        """Leave nothing behind of a pack that was not closed; one that was stays."""
        self._stack.close()
        self._numbers.abandon()
        for suffix in _SUFFIXES:
            self._temporary(suffix).unlink(missing_ok=True)

    def _open(self, suffix: str, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
        sink = self._stack.enter_context(pa.OSFile(str(self._temporary(suffix)), "wb"))
        return self._stack.enter_context(pa.ipc.new_file(sink, schema, options=_LZ4))

    def _temporary(self, suffix: str) -> Path:
        return self._folder / f".{self._name}.{self._mark}{suffix}"


def find_packs(folder: Path) -> dict[str, Located]:
    """Every part that some pack of the folder holds. A damaged index is passed over: its parts are read again."""
    found: dict[str, Located] = {}
    for index in sorted(folder.glob(f"*{INDEX_SUFFIX}")):
        if index.name.startswith("."):
            continue
        try:
            entries = msgspec.json.decode(index.read_bytes(), type=list[Entry])
        except (OSError, msgspec.MsgspecError):
            continue
        found |= {entry.key: Located(index.stem, entry) for entry in entries}
    return found


def prune(folder: Path, used: set[str]) -> None:
    """Remove packs that no longer hold anything of use, and what killed processes left half-written."""
    for path in folder.iterdir():
        if (
            path.is_file()
            and path.name != "files"
            and (path.name.startswith(".") or path.name.split(".")[0] not in used)
        ):
            path.unlink(missing_ok=True)


class PackedRows:
    """The rows of parts, numbered through in the order of the parts. Implements `StoredRows`."""

    def __init__(self, folder: Path, parts: Sequence[Located]) -> None:
        self._folder = folder
        self._batches = [
            (located.pack, located.entry.first + at, rows)
            for located in parts
            for at, rows in enumerate(located.entry.rows)
        ]
        self._begins = [0, *accumulate(rows for _, _, rows in self._batches)]
        self._starts = np.array(self._begins)
        self._parts = parts
        self._stretches = list(_stretches(parts))
        self._held: dict[tuple[str, ...], pa.Table | None] = {}
        self._scanned: set[tuple[str, ...]] = set()

    def __len__(self) -> int:
        return self._begins[-1]

    @property
    def packs(self) -> set[str]:
        """The packs the rows are in."""
        return {located.pack for located in self._parts}

    @property
    def extra(self) -> list[str]:
        """The columns of stages that belong in the dataset."""
        if not self._parts:
            return []
        schema = _opener(self._folder, ())(self._parts[0].pack).schema
        return [name for name in schema.names if name not in BATCH.names and not name.startswith("_")]

    def scan(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows in order, in batches of a few thousand where parts are small."""
        wanted = tuple(columns)
        again = wanted in self._scanned
        self._scanned.add(wanted)
        held = self._whole(wanted) if again else None
        yield from self._stream(wanted) if held is None else held.to_batches(max_chunksize=SCAN)

    def numbers(self, column: str) -> NDArray[Any]:
        """A column of digests or lengths of all rows: (rows, 2) or (rows,)."""
        kind = NUMBERS[column]
        numbers = np.empty((len(self), *kind.shape), dtype=kind.base)
        done = 0
        for pack, stretches in groupby(self._stretches, key=itemgetter(0)):
            path = self._folder / f"{pack}{NUMBERS_SUFFIX}"
            done = read_numbers(path, column, (stretch[1:] for stretch in stretches), numbers, done)
        return numbers

    def few_tags(self, kept: NDArray[np.int64]) -> tuple[list[Mapping[str, int]], NDArray[np.int64]]:
        """The tags of those parts all of whose rows are among `kept` (ascending), with how many rows have just these,
        as far as that is known without reading the rows; and the other rows."""
        told = [located.entry.tags for located in self._parts]
        begins = np.array([0, *accumulate(sum(located.entry.rows) for located in self._parts)])
        bounds = np.searchsorted(kept, begins)
        known = (np.diff(bounds) == np.diff(begins)) & np.array([tags is not None for tags in told], dtype=bool)
        left = np.ones(len(kept), dtype=bool)
        for at in np.flatnonzero(known).tolist():
            left[bounds[at] : bounds[at + 1]] = False
        return [tags for tags, whole in zip(told, known, strict=True) if whole and tags], kept[left]

    def _stream(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        open_pack = _opener(self._folder, columns)
        held: list[pa.RecordBatch] = []
        count = 0
        for pack, number, rows in self._batches:
            if count and count + rows > SCAN:
                yield _joined(held)
                held, count = [], 0
            held.append(open_pack(pack).get_batch(number))
            count += rows
        if held:
            yield _joined(held)

    def take(self, ordinals: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """The rows with these numbers, in the order asked for."""
        if self._spread(ordinals) > NEAR:
            held = self._whole(tuple(columns))
            if held is not None:
                return held.take(from_numpy(ordinals))
        open_pack = _opener(self._folder, tuple(columns))
        order = np.argsort(ordinals, kind="stable")
        ascending = ordinals[order]
        taken: list[pa.RecordBatch] = []
        at = 0
        while at < len(ascending):
            batch = bisect_right(self._begins, int(ascending[at])) - 1
            end = int(np.searchsorted(ascending, self._begins[batch + 1]))
            pack, number, _ = self._batches[batch]
            inside = from_numpy(ascending[at:end] - self._begins[batch])
            taken.append(open_pack(pack).get_batch(number).take(inside))
            at = end
        if not taken:
            return self._empty(columns)
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(taken).combine_chunks().take(from_numpy(back))

    def _spread(self, ordinals: NDArray[np.int64]) -> int:
        """In how many batches these rows lie."""
        return len(np.unique(np.searchsorted(self._starts, ordinals, side="right")))

    def _whole(self, columns: tuple[str, ...]) -> pa.Table | None:
        """All rows of these columns, if they are few enough to be held: rows of small files are slow to pick."""
        if columns not in self._held:
            self._held[columns] = None
            room = HELD - sum(table.nbytes for table in self._held.values() if table is not None)
            batches: list[pa.RecordBatch] = []
            for batch in self._stream(columns):
                batches.append(batch)
                room -= batch.nbytes
                if room < 0:
                    break
            else:
                self._held[columns] = pa.Table.from_batches(batches).combine_chunks() if batches else None
        return self._held[columns]

    def rejects(self) -> Iterator[Reject]:
        """What the parts rejected, in the order of the parts."""
        open_pack = _opener(self._folder, (), REJECTS_SUFFIX)
        for located in self._parts:
            for at in range(len(located.entry.rejects)):
                batch = open_pack(located.pack).get_batch(located.entry.first_reject + at)
                for values in batch.to_pylist():
                    yield Reject(**values)

    def media(self) -> Mapping[str, Path]:
        """The files that rows refer to, by digest."""
        names = sorted({name for located in self._parts for name in located.entry.media})
        return {name: self._folder / "media" / name for name in names}

    def _empty(self, columns: Sequence[str]) -> pa.Table:
        if not self._parts:
            return pa.table({name: strings([]) for name in columns})
        schema = _opener(self._folder, tuple(columns))(self._parts[0].pack).schema
        return schema.empty_table()


def _stretches(parts: Sequence[Located]) -> Iterator[tuple[str, int, int]]:
    """Rows that follow each other in one pack: the pack, the number of the first, and of the one behind the last."""
    pack, begin, end = "", 0, 0
    for located in parts:
        entry = located.entry
        if (located.pack, entry.begin) != (pack, end):
            if begin < end:
                yield pack, begin, end
            pack, begin = located.pack, entry.begin
        end = entry.begin + sum(entry.rows)
    if begin < end:
        yield pack, begin, end


def _opener(
    folder: Path, columns: tuple[str, ...], suffix: str = SUFFIX
) -> Callable[[str], pa.ipc.RecordBatchFileReader]:
    options: list[pa.ipc.IpcReadOptions] = []  # of the first pack: the rows of one build have the same columns

    @lru_cache(maxsize=_OPEN)  # a pack that falls out is closed with its last reference
    def open_pack(pack: str) -> pa.ipc.RecordBatchFileReader:
        source = pa.OSFile(str(folder / f"{pack}{suffix}"), "rb")
        if columns and not options:
            schema = pa.ipc.open_file(source).schema
            fields = [schema.get_field_index(name) for name in columns]
            options.append(pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False))
        return pa.ipc.open_file(source, options=options[0] if options else None)

    return open_pack


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
