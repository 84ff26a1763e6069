"""Builds a dataset version: raw files in, Parquet segments under a manifest out. Same input, same digest.

Rows flow through as Arrow batches: what is held of each row is digests and numbers, never its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kedge.core.ports import BlobStore, Progress
from kedge.core.spec import to_plain
from kedge.data.divide import divide
from kedge.data.duplicates import signature_stage
from kedge.data.ingest import Mapper, ingest
from kedge.data.normalise import normalise_stage
from kedge.data.packs import prune
from kedge.data.policy import policy_stage
from kedge.data.quality.judge import NOTHING, Judged, judge_rows
from kedge.data.quality.stage import count_stage
from kedge.data.records import read_before
from kedge.data.sample import SampleOptions, draw
from kedge.data.stage import StoredRows
from kedge.data.store import Place, store
from kedge.data.types import BuildRequest, BuildResult, StageSpec


def build(
    request: BuildRequest,
    *,
    root: Path,
    folder: Path,
    blobs: BlobStore,
    progress: Progress,
    cache: Path | None = None,
    mapper: Mapper | None = None,
) -> BuildResult:
    """Read, clean, divide and store. `root` is where relative paths begin, `folder` is for temporary files.

    `cache` is a folder that stays from build to build: what was read of files is kept there, so that only new and
    changed files are read the next time. `mapper` reads parts elsewhere than in processes of this machine.
    A dataset may come out empty.
    """
    stages = (normalise_stage(request.normalise), *_policy(request), *request.stages, *_late(request))
    packs = cache or folder / "rows"
    rows = ingest(request.sources, root, progress, cache=packs, stages=stages, mapper=mapper)
    judged = judge_rows(rows, request.quality) if request.quality else NOTHING
    judged = _drawn(rows, request.sample, judged) if request.sample else judged
    records = packs / "records"
    before = read_before(blobs, request.parent, records) if request.parent else None
    divided = divide(
        rows,
        request.duplicates,
        request.split,
        progress,
        judged,
        memory=packs / "clusters" if cache else None,
        before=before,
    )
    result = store(
        request,
        recipe(request),
        rows,
        divided,
        before=before,
        place=Place(blobs=blobs, folder=folder, memory=records),
        progress=progress,
    )
    prune(packs, rows.packs)
    return result


def _drawn(rows: StoredRows, options: SampleOptions, judged: Judged) -> Judged:
    """What was judged, and of the others those that are not drawn."""
    left = np.delete(np.arange(len(rows), dtype=np.int64), judged.rows)
    ids: list[str] = []
    kinds: list[str] = []
    for batch in rows.scan(["id", "tags"]):
        ids += batch.column("id").to_pylist()
        tags = batch.column("tags").to_pylist() if options.tag else [""] * batch.num_rows
        kinds += [str(msgspec.json.decode(each).get(options.tag, "")) if each else "" for each in tags]
    drawn = draw([ids[at] for at in left], [kinds[at] for at in left], options)
    out = np.delete(left, drawn)
    rows_out = np.concatenate((judged.rows, out))
    order = np.argsort(rows_out, kind="stable").tolist()
    reasons = [*judged.reasons, *(["sample"] * len(out))]
    details = [*judged.details, *(["not drawn"] * len(out))]
    return Judged(rows_out[order], [reasons[at] for at in order], [details[at] for at in order])


def _late(request: BuildRequest) -> tuple[StageSpec, ...]:
    """What must come last: counts for the rules of quality and signatures, of the text as it will be kept."""
    counts = (count_stage(),) if request.quality else ()
    signatures = (signature_stage(request.duplicates),) if request.duplicates.near < 1 else ()
    return (*counts, *signatures)


def _policy(request: BuildRequest) -> tuple[StageSpec, ...]:
    return (policy_stage(request.policy),) if request.policy.says_something else ()


def _args(stage: StageSpec) -> Any:
    """The options of a stage, without where its files lie on this machine."""
    plain = to_plain(stage.options)
    return {name: value for name, value in plain.items() if name != "local"} if isinstance(plain, dict) else plain


def recipe(request: BuildRequest) -> Mapping[str, Any]:
    """How the dataset is made, without where its files lie on this machine."""
    sources = []
    for bound in request.sources:
        options = to_plain(bound.options)
        options.pop("path", None)
        rights = {"rights": dict(bound.rights)} if bound.rights else {}
        sources.append({"name": bound.source.name, "args": options, **rights})
    steps = {name: to_plain(getattr(request, name)) for name in ("normalise", "duplicates", "split")}
    stages = [{"name": stage.name, "args": _args(stage)} for stage in request.stages]
    policy = {"policy": to_plain(request.policy)} if request.policy.says_something else {}
    quality = {"quality": to_plain(request.quality)} if request.quality else {}
    quality |= {"sample": to_plain(request.sample)} if request.sample else {}
    return {"sources": sources, **steps, **policy, **({"stages": stages} if stages else {}), **quality}
