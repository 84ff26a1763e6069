"""Looks for what names a person in rows, and does what the options say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from kedge.core.errors import Conflict, Invalid
from kedge.data.arrays import blobs
from kedge.data.columns import with_texts, without
from kedge.data.privacy.detectors import open_detector
from kedge.data.privacy.keys import PrivacyKey
from kedge.data.privacy.stage import FOUND, PrivacyStage
from kedge.data.privacy.types import Detector, PrivacyOptions
from kedge.data.stage import Passed, RowStage
from kedge.text.identifiers import find_identifiers
from kedge.text.secrets import find_secrets
from kedge.text.spans import Span, replace_spans, without_overlaps


class Found(msgspec.Struct, frozen=True, array_like=True):
    """One thing that was found: its kind, its entry in the index, and (in a vault) what its pseudonym stands for."""

    kind: str
    subject: str
    pseudonym: str = ""
    sealed: bytes = b""


def open_privacy(stage: PrivacyStage) -> RowStage:
    """Looks through inputs and targets. Appends what was found as `_private`; no text of it leaves the row."""
    key = read_key(Path(stage.local))
    if key.id != stage.key:
        raise Conflict("the privacy key has changed since the build began", hint="run again")
    detectors = [open_detector(name) for name in stage.options.detectors]
    return partial(_look, stage.options, key, detectors)


def read_key(path: Path) -> PrivacyKey:
    """The key in a file."""
    try:
        return PrivacyKey(secret=path.read_bytes().strip())
    except OSError as error:
        raise Invalid(f"the privacy key cannot be read: {error.strerror}", address=str(path)) from error


def find_all(texts: Sequence[str], options: PrivacyOptions, detectors: Sequence[Detector] = ()) -> list[list[Span]]:
    """Everything that is looked for, in order and without overlaps, for each text. What has a checked pattern goes
    before what a detector says."""
    found = [find_identifiers(text, options.kinds) for text in texts]
    if options.secrets:
        found = [_merged(find_secrets(text), spans) for text, spans in zip(texts, found, strict=True)]
    for detector in detectors:
        found = [_merged(sure, more) for sure, more in zip(found, detector(texts), strict=True)]
    return found


def _merged(sure: list[Span], more: list[Span]) -> list[Span]:
    if not more:
        return sure
    free = [each for each in more if not any(each.begin < s.end and s.begin < each.end for s in sure)]
    return without_overlaps([*sure, *free])


def _look(options: PrivacyOptions, key: PrivacyKey, detectors: Sequence[Detector], batch: pa.RecordBatch) -> Passed:
    hits: list[list[Found]] = [[] for _ in range(batch.num_rows)]
    faults: list[tuple[str, str] | None] = [None] * batch.num_rows
    for name in ("input", "target"):
        texts: list[str] = batch.column(name).to_pylist()
        spans = find_all(texts, options, detectors)
        if not any(spans):
            continue
        changed = list(texts)
        for row, (text, found) in enumerate(zip(texts, spans, strict=True)):
            if found:
                hits[row] += [_found(options, key, text, span) for span in found]
                changed[row] = _changed(options, key, text, found)
                faults[row] = faults[row] or _fault(options, found)
        batch = with_texts(batch, name, changed)
    column: Any = blobs(msgspec.msgpack.encode(each) if each else b"" for each in hits)
    return without(batch.append_column(pa.field(FOUND, pa.binary(), nullable=False), column), faults)


def _found(options: PrivacyOptions, key: PrivacyKey, text: str, span: Span) -> Found:
    content = text[span.begin : span.end]
    subject = key.subject(content, span.kind)
    if not options.vault or options.action_for(span.kind) != "pseudonym":
        return Found(span.kind, subject)
    pseudonym = key.pseudonym(span.kind, content)
    return Found(span.kind, subject, pseudonym, key.seal(pseudonym, content))


def _changed(options: PrivacyOptions, key: PrivacyKey, text: str, spans: Sequence[Span]) -> str:
    def substitute(kind: str, content: str) -> str:
        action = options.action_for(kind)
        if action == "mask":
            return f"[{kind}]"
        return key.pseudonym(kind, content) if action == "pseudonym" else content

    return replace_spans(text, spans, substitute)


def _fault(options: PrivacyOptions, spans: Sequence[Span]) -> tuple[str, str] | None:
    kinds = sorted({span.kind for span in spans if options.action_for(span.kind) == "drop"})
    return (f"privacy:{kinds[0]}", f"it holds {', '.join(kinds)}") if kinds else None
