"""Walks the one line: from an answer back to the rows behind it. `app.touched` walks it forwards, from a row."""

from __future__ import annotations

import json
import re
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from kedge.app.project import Project
from kedge.app.touched import LEARNERS, Touched, kind_of, touched
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.run import Run
from kedge.core.trace import Feedback, Receipt, Trace, parse_receipt
from kedge.data.lookup import nearest_rows, scan_rows
from kedge.data.read import read_dataset
from kedge.registry.bundle import read_bundle

NEAREST = 5
PATIENCE = 1.0  # seconds to wait for a trace that the gateway may not have written yet

_RECEIPT = "rcpt_"
_ROW = re.compile(r"[0-9a-f]{6,32}")
_PLACE = re.compile(r"(?P<path>.+):(?P<line>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLink:
    """The run that trained the model."""

    id: str
    stage: str
    step: str
    started: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetLink:
    """The dataset version the model learned from."""

    digest: str
    name: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearRow:
    """A training row near the answer. `source` is where it came from; `file` the same place here, if it is here."""

    id: str
    similarity: float
    source: str
    input: str
    target: str
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The way from an answer to the rows behind it, as digests and ids. `gaps` says where it ends early and why.

    `versions` are the names the bundle is registered under, `index` what the rows were found through ("": all
    rows of the dataset were read).
    """

    receipt: str
    trace: str
    answer: Trace | None
    bundle: str
    versions: tuple[str, ...]
    model: str
    run: RunLink | None = None
    dataset: DatasetLink | None = None
    index: str = ""
    rows: tuple[NearRow, ...] = ()
    gaps: tuple[str, ...] = ()
    feedback: tuple[Feedback, ...] = ()


def trace(
    project: Project, what: str, *, text: str = "", k: int = NEAREST, patience: float = PATIENCE
) -> Walk | Touched:
    """Walk back from a receipt, or forward from a row id.

    `text` stands for an answer whose trace is lost. `Refused` for a receipt this project did not issue; `NotFound`
    for an unknown row.
    """
    if what.startswith(_RECEIPT):
        return walk(project, what, text=text, k=k, patience=patience)
    if _ROW.fullmatch(what):
        return touched(project, what)
    raise Invalid(
        f"neither a receipt nor a row id: {what[:80]!r}",
        hint="a receipt is the value of an answer's x-kedge-receipt header; a row id is 32 hexadecimal digits",
    )


def walk(project: Project, receipt: str, *, text: str = "", k: int = NEAREST, patience: float = PATIENCE) -> Walk:
    """The way from an answer to the rows behind it. `Invalid`; `Refused`; `NotFound` if the bundle is gone."""
    parsed = parse_receipt(receipt, project.secret)
    gaps: list[str] = []
    answer = _answer(project, parsed, 0.0 if text else patience)
    words = text or (_words(answer) if answer else "")
    if answer is None:
        gaps.append("the trace was dropped or is purged: --text gives what was answered")
    elif not words:
        gaps.append("the gateway keeps no texts: --text gives what was answered")
    model = read_bundle(project.blobs, parsed.bundle).model
    learned = _learned(project, model)
    found = Walk(
        receipt=receipt.strip(),
        trace=parsed.trace,
        answer=answer,
        bundle=parsed.bundle,
        versions=tuple(v.address for v in project.ledger.models.versions() if v.bundle == parsed.bundle),
        model=model,
        feedback=tuple(project.feedback.of(parsed.trace)),
    )
    if learned is None:
        gaps.append("no run on record trained this model from a dataset: it was imported")
        return replace(found, gaps=tuple(gaps))
    run, dataset = learned
    found = replace(found, run=RunLink(id=run.id, stage=run.stage, step=run.spec.name, started=run.started))
    if kind_of(project, dataset) is None:
        return replace(found, gaps=(*gaps, f"the dataset {dataset} is deleted"))
    manifest = read_dataset(project.blobs, dataset)
    index = _index(project, dataset)
    return replace(
        found,
        dataset=DatasetLink(digest=dataset, name=manifest.name, rows=manifest.rows),
        index=index,
        rows=_nearest(project, dataset, index, words, k) if words else (),
        gaps=tuple(gaps),
    )


def _answer(project: Project, receipt: Receipt, patience: float) -> Trace | None:
    """The trace, waiting a little for one that is just being written. `Broken` if it is about another bundle."""
    deadline = time.monotonic() + patience
    while True:
        try:
            found = project.traces.get(receipt.trace)
        except NotFound:
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.05)
            continue
        if found.bundle != receipt.bundle:
            raise Broken("the trace names another bundle than its receipt", address=f"trace:{receipt.trace}")
        return found


def _learned(project: Project, model: str) -> tuple[Run, str] | None:
    """The newest run that made a model from a dataset, and the dataset; through the models it was made from."""
    rest, seen = [model], {model}
    while rest:
        for run in reversed(project.ledger.runs.producing(rest.pop(0))):
            if "dataset" in run.inputs:
                return run, run.inputs["dataset"]
            before = [digest for digest in run.inputs.values() if kind_of(project, digest) in LEARNERS]
            rest += [digest for digest in before if digest not in seen]
            seen.update(before)
    return None


def _index(project: Project, dataset: str) -> str:
    """The newest index of a dataset that is still there."""
    made = [run.outputs["index"] for run in project.ledger.runs.using(dataset) if "index" in run.outputs]
    return next((index for index in reversed(made) if kind_of(project, index) is not None), "")


def _nearest(project: Project, dataset: str, index: str, text: str, k: int) -> tuple[NearRow, ...]:
    blobs = project.blobs
    hits = nearest_rows(blobs, index, text, k) if index else scan_rows(blobs, dataset, text, k)
    return tuple(
        NearRow(
            id=hit.row.id,
            similarity=hit.similarity,
            source=hit.row.source,
            input=hit.row.input,
            target=hit.row.target,
            file=_file(project.root, hit.row.source),
        )
        for hit in hits
    )


def _words(answer: Trace) -> str:
    """What was asked and answered, as text."""
    return "\n".join(filter(None, (plain_text(answer.prompt), plain_text(answer.answer))))


def plain_text(given: str) -> str:
    """The text of a prompt or answer: the contents of chat messages if it is JSON that holds some, or as it is."""
    if not given.lstrip().startswith(("[", "{")):
        return given
    try:
        value = json.loads(given)
    except ValueError:
        return given
    messages = value.get("messages", value.get("prompt")) if isinstance(value, dict) else value
    if isinstance(messages, str):
        return messages
    contents = [_content(each) for each in messages] if isinstance(messages, list) else []
    return "\n".join(filter(None, contents)) or given


def _content(message: Any) -> str:
    """The text of one message, or of its parts."""
    if isinstance(message, str):
        return message
    content = message.get("content", message.get("text")) if isinstance(message, dict) else None
    if isinstance(content, list):
        return "\n".join(filter(None, map(_content, content)))
    return content if isinstance(content, str) else ""


def _file(root: Path, source: str) -> str:
    """Where a row's source lies on this machine: in the project or in Python's own library, or "" if it does not."""
    match = _PLACE.fullmatch(source)
    if match is None:
        return ""
    places: Sequence[Path] = (root, Path(sysconfig.get_path("stdlib")))
    found = next((place / match["path"] for place in places if (place / match["path"]).is_file()), None)
    return f"{found}:{match['line']}" if found else ""
