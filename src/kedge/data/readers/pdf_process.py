"""The process that opens a PDF: bytes on stdin, a line of JSON a page on stdout. `python -m kedge.data.readers.pdf_process PAGES`."""

from __future__ import annotations

import contextlib
import resource
import sys

import msgspec
import pypdfium2

MEMORY = 2 << 30
CPU_SECONDS = 100
TEXT = 4 << 20  # characters of one page


def main() -> int:
    """Read all pages, up to the number given."""
    for kind, limit in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a system that does not know the limit
            resource.setrlimit(kind, (limit, limit))
    limit = int(sys.argv[1])
    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
        pages = len(document)
        for number in range(min(pages, limit)):
            page = document[number]
            text = page.get_textpage()
            sys.stdout.buffer.write(msgspec.json.encode([number + 1, text.get_text_bounded()[:TEXT]]) + b"\n")
            text.close()
            page.close()
    except (pypdfium2.PdfiumError, MemoryError, ValueError) as error:
        sys.stdout.buffer.flush()
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    if pages > limit:
        sys.stderr.write(f"{pages} pages; the first {limit} were read\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
