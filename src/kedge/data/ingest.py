"""Reads the parts of sources into packs, in all cores when there is enough to read; what was read before is not again."""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from kedge.core.dataset import Reject, Row
from kedge.core.errors import Failed
from kedge.core.hashing import digest_of
from kedge.core.ports import Progress
from kedge.core.spec import to_plain
from kedge.data.code import digest_code
from kedge.data.keyed import keyed, to_batch
from kedge.data.packs import Entry, Located, PackedRows, PackWriter, find_packs
from kedge.data.parts import Part, changed, cut, fill, state_of
from kedge.data.policy import rights_stage
from kedge.data.rows import quarantine
from kedge.data.stage import RowStage, apply_stages, open_stage
from kedge.data.types import BoundSource, Medium, SourceFile, StageSpec

Reader = Callable[[SourceFile, Any], Iterator[Row | Reject | Medium]]

WORTHWHILE = 4 << 20  # bytes below which starting processes costs more than it saves
PACK_BYTES = 8 << 20  # bytes of small files that are read together
PACK_PARTS = 64
BATCH_ROWS = 2048
BATCH_CHARS = 4 << 20
MEDIA = "media"


@dataclass(frozen=True, slots=True)
class Reading:
    """Parts to read into one pack, and how: all that another process needs to know."""

    folder: Path
    name: str
    read: str
    options: Any
    stages: tuple[StageSpec, ...]
    parts: tuple[tuple[str, Part], ...]


Mapper = Callable[[Sequence[Reading]], Iterator[tuple[Reading, list[Entry]]]]


def ingest(
    sources: Sequence[BoundSource],
    root: Path,
    progress: Progress,
    *,
    cache: Path,
    stages: tuple[StageSpec, ...] = (),
    mapper: Mapper | None = None,
) -> PackedRows:
    """Every row and reject of every part, in the order of sources, file names and places in the files.

    `cache` is the folder of packs. A pack that is there stays, so that a killed build goes on where it was and a later
    one reads only what is new. `mapper` reads elsewhere. `Conflict` if a file changes while it is read.
    """
    parts = cut(sources, root, cache / "files")
    identities = [_identity(bound, stages) for bound in sources]
    keys = [_key(identities[part.source], part) for part in parts]
    found = find_packs(cache)
    missing = [(key, part) for key, part in zip(keys, parts, strict=True) if key not in found]
    progress.start(len(parts), "reading files")
    progress.advance(len(parts) - len(missing))
    readings = list(_readings(dict(missing), sources, stages, cache))
    for reading, entries in (mapper or read_all)(readings):
        found |= {entry.key: Located(reading.name, entry) for entry in entries}
        progress.advance(len(entries))
    return PackedRows(cache, [found[key] for key in keys])


def read_all(readings: Sequence[Reading]) -> Iterator[tuple[Reading, list[Entry]]]:
    """Read here, or in a process for each core if that is worth it."""
    processes = min(cores(), len(readings))
    if processes < 2 or sum(part.size for reading in readings for _, part in reading.parts) < WORTHWHILE:
        yield from ((reading, read_pack(reading)) for reading in readings)
        return
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_die_with_parent) as pool:
            futures: dict[Future[list[Entry]], Reading] = {pool.submit(read_pack, each): each for each in readings}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    except BrokenProcessPool as error:
        raise Failed("a process that reads files was killed", hint="is there enough memory?") from error


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_pack(reading: Reading) -> list[Entry]:
    """Read parts into their pack and say what is where. Done again, it gives the same."""
    stages = [open_stage(spec) for spec in reading.stages]
    schema = keyed(apply_stages(stages, to_batch(())).batch).schema
    pack = PackWriter(reading.folder, reading.name, schema)
    try:
        for key, part in reading.parts:
            media: dict[str, None] = {}
            pack.add(key, _batches(reading, part, stages, media), media.keys())  # filled while it is read
        return pack.close()
    finally:
        pack.abandon()


def _batches(
    reading: Reading, part: Part, stages: Sequence[RowStage], media: dict[str, None]
) -> Iterator[tuple[Any, list[Reject]]]:
    """The rows of a part through all stages, and the rejects of the reader and the stages in their order."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    chars = 0
    for item in read_part(reading.read, reading.options, part):
        if isinstance(item, Row):
            rows.append(item)
            chars += len(item.input) + len(item.target)
        elif isinstance(item, Reject):
            rejects.append(item)
        else:
            _keep_medium(reading.folder / MEDIA, item)
            media[item.digest.removeprefix("sha256:")] = None
        if len(rows) >= BATCH_ROWS or chars >= BATCH_CHARS or len(rejects) >= BATCH_ROWS:
            yield _passed(rows, rejects, stages)
            rows, rejects, chars = [], [], 0
    if rows or rejects:
        yield _passed(rows, rejects, stages)


def _passed(rows: list[Row], rejects: list[Reject], stages: Sequence[RowStage]) -> tuple[Any, list[Reject]]:
    passed = apply_stages(stages, to_batch(rows))
    return keyed(passed.batch), [*rejects, *passed.rejects]


def read_part(read: str, options: Any, part: Part) -> Iterator[Row | Reject | Medium]:
    """What a reader finds in a part. What cannot be opened is a reject."""
    before = state_of(part.file.path)
    try:
        yield from find_reader(read)(fill(part), options)
    except OSError as error:
        yield quarantine(part.file.label, "unreadable", error.strerror or str(error))
        return
    if (part.whole or part.span.pieces) and state_of(part.file.path) != before:
        raise changed(part.file.path)


def find_reader(name: str) -> Reader:
    """The function that a source names."""
    module, _, function = name.partition(":")
    reader: Reader = getattr(importlib.import_module(module), function)
    return reader


def _keep_medium(folder: Path, medium: Medium) -> None:
    path = folder / medium.digest.removeprefix("sha256:")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(medium.data)
        temporary.replace(path)


def stages_of(bound: BoundSource, stages: tuple[StageSpec, ...]) -> tuple[StageSpec, ...]:
    """The stages that rows of one source go through."""
    return (rights_stage(bound.rights), *stages) if bound.rights else stages


def _identity(bound: BoundSource, stages: tuple[StageSpec, ...]) -> str:
    """What decides, beside the bytes, what is read of a part."""
    options = {key: value for key, value in to_plain(bound.options).items() if key != "path"}
    stages = stages_of(bound, stages)
    told = [[stage.name, stage.open, to_plain(stage.options)] for stage in stages]
    modules = [
        bound.source.read.partition(":")[0],
        *bound.source.code,
        *(name for each in stages for name in each.code),
    ]
    return digest_of([bound.source.read, options, told, digest_code(modules)])


def _key(identity: str, part: Part) -> str:
    span = part.span
    told = f"{identity}\0{span.begin}\0{span.line}\0{span.digest}\0{span.pieces}\0{span.head}\0{part.file.label}"
    return hashlib.sha256(told.encode()).hexdigest()


def _readings(
    missing: Mapping[str, Part], sources: Sequence[BoundSource], stages: tuple[StageSpec, ...], folder: Path
) -> Iterator[Reading]:
    """Packs of parts of one source each, small files together."""
    held: list[tuple[str, Part]] = []
    size = 0
    for key, part in missing.items():
        if held and (held[0][1].source != part.source or len(held) == PACK_PARTS or size + part.size > PACK_BYTES):
            yield _reading(held, sources, stages, folder)
            held, size = [], 0
        held.append((key, part))
        size += part.size
    if held:
        yield _reading(held, sources, stages, folder)


def _reading(
    parts: list[tuple[str, Part]], sources: Sequence[BoundSource], stages: tuple[StageSpec, ...], folder: Path
) -> Reading:
    bound = sources[parts[0][1].source]
    name = digest_of([key for key, _ in parts])[7:39]
    return Reading(folder, name, bound.source.read, bound.options, stages_of(bound, stages), tuple(parts))


def _die_with_parent() -> None:
    """End this process when the one that started it is gone, killed or not: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
