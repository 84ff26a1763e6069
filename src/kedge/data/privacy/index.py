"""The subject index of a dataset: under which rows something that names a person was found, by keyed digests alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kedge.core.manifest import read_manifest
from kedge.core.ports import BlobStore
from kedge.data.arrays import strings
from kedge.data.privacy.keys import PrivacyKey
from kedge.data.privacy.rows import Found
from kedge.data.privacy.stage import FOUND
from kedge.data.stage import StoredRows

SUBJECTS = "subjects.parquet"
SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("subject", "kind", "row")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something of this kind was found in this row."""

    kind: str
    row: str


def encode_subjects(rows: StoredRows, kept: NDArray[np.int64]) -> tuple[bytes, Mapping[str, int]]:
    """The index of the rows kept as Parquet, sorted by subject; and how many hits each kind has."""
    told = sorted({(found.subject, found.kind, row) for row, found in _hits(rows, kept)})
    counts = Counter(found.kind for _, found in _hits(rows, kept))
    columns = list(map(strings, zip(*told, strict=True))) or [strings([])] * len(SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=SCHEMA), sink, compression="zstd", row_group_size=1 << 16)
    return sink.getvalue().to_pybytes(), dict(sorted(counts.items()))


def find_subject(blobs: BlobStore, dataset: str, key: PrivacyKey, content: str) -> list[Entry]:
    """The rows of a dataset in which something was found that names this person, however it is spelt."""
    layer = read_manifest(blobs, dataset).layer(SUBJECTS)
    if layer is None:
        return []
    wanted = {key.subject(content), *(key.subject(content, kind) for kind in ("phone", "email", "ip"))}
    table = pq.read_table(pa.BufferReader(blobs.get(layer.digest)), filters=[("subject", "in", sorted(wanted))])
    return [Entry(kind=row["kind"], row=row["row"]) for row in table.to_pylist()]


def fill_vault(path: Path, rows: StoredRows, kept: NDArray[np.int64]) -> int:
    """Keep what pseudonyms stand for, sealed, in a file beside the project's ledger; how many there are now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(path)) as vault, vault:
        vault.execute("CREATE TABLE IF NOT EXISTS vault (pseudonym TEXT PRIMARY KEY, sealed BLOB NOT NULL)")
        sealed = ((found.pseudonym, found.sealed) for _, found in _hits(rows, kept) if found.sealed)
        vault.executemany("INSERT OR IGNORE INTO vault VALUES (?, ?)", sealed)
        count: int = vault.execute("SELECT count(*) FROM vault").fetchone()[0]
    path.chmod(0o600)
    return count


def open_pseudonym(path: Path, key: PrivacyKey, pseudonym: str) -> str | None:
    """What a pseudonym stands for, or None if the vault does not know it."""
    with closing(connect(path)) as vault:
        row = vault.execute("SELECT sealed FROM vault WHERE pseudonym = ?", (pseudonym,)).fetchone()
    return key.unseal(pseudonym, row[0]) if row else None


def _hits(rows: StoredRows, kept: NDArray[np.int64]) -> Iterator[tuple[str, Found]]:
    """What was found in the rows kept, with the id of each."""
    first = done = 0
    for batch in rows.scan(["id", FOUND]):
        last = int(np.searchsorted(kept, first + batch.num_rows))
        for at in (kept[done:last] - first).tolist():
            data = batch.column(FOUND)[at].as_py()
            if data:
                row = batch.column("id")[at].as_py()
                yield from ((row, each) for each in msgspec.msgpack.decode(data, type=list[Found]))
        first, done = first + batch.num_rows, last
