"""An image or a sound: its bytes are kept beside the text by digest, and looked into only when they are used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from kedge.core.dataset import Reject, Row
from kedge.core.hashing import digest
from kedge.data.readers.detect import detect
from kedge.data.rows import make_row, quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_source
from kedge.data.types import Medium, SourceFile


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject | Medium]:
    """A row whose input is the file's name without its end, and whose tag `media` tells the digest of its bytes."""
    with open_source(file) as stream:
        data = stream.read(options.max_document_bytes + 1)
    if len(data) > options.max_document_bytes:
        yield quarantine(f"{file.label}:1", "too-long", f"a file of over {options.max_document_bytes} bytes")
        return
    medium = Medium(digest=digest(data), data=data)
    tags = {"file": file.label, "media": [told(medium, detect(data, file.label))]}
    yield medium
    yield make_row(input=PurePosixPath(file.label).stem, target="", source=f"{file.label}:1", tags=tags)


def told(medium: Medium, kind: str) -> dict[str, object]:
    """What a row's tag says of a medium."""
    return {"digest": medium.digest, "kind": kind, "bytes": len(medium.data)}
