"""PDF: a row a page. The file is opened by a process of its own, with limits on its memory and its time."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import msgspec

from kedge.core.dataset import Reject, Row
from kedge.core.errors import Missing
from kedge.data.rows import make_row, quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_source
from kedge.data.types import SourceFile
from kedge.text.unicode import has_lone_surrogate

SECONDS = 120.0


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject]:
    """A row for each page that has text, named by its number from 1. `Missing` without pypdfium2."""
    if importlib.util.find_spec("pypdfium2") is None:
        raise Missing.extra("pypdfium2", "pdf")
    with open_source(file) as stream:
        data = stream.read(options.max_document_bytes + 1)
    if len(data) > options.max_document_bytes:
        yield quarantine(f"{file.label}:1", "too-long", f"a document of over {options.max_document_bytes} bytes")
        return
    command = [sys.executable, "-P", "-m", "kedge.data.readers.pdf_process", str(options.max_pages)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield quarantine(f"{file.label}:1", "pdf", f"not read within {SECONDS:.0f} seconds")
        return
    for line in done.stdout.splitlines():
        try:
            number, text = msgspec.json.decode(line, type=tuple[int, str])
        except msgspec.MsgspecError:
            break  # the process died in the middle of a line
        text = text.replace("\0", "").replace("\ufffe", "-").replace("\r\n", "\n")
        if text.strip() and not has_lone_surrogate(text):
            yield make_row(
                input=text, target="", source=f"{file.label}#{number}", tags={"file": file.label, "page": number}
            )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        detail = said[-1] if said else f"the process that read it ended with {done.returncode}"
        yield quarantine(f"{file.label}:1", "pdf", detail)
