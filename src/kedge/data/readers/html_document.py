"""HTML: the text that a reader of the page would see, without scripts and styles."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

from kedge.core.dataset import Reject, Row
from kedge.data.rows import make_row, quarantine
from kedge.data.sources.any_files import FilesOptions
from kedge.data.sources.files import open_source
from kedge.data.sources.jsonl import wide_encoding
from kedge.data.strict import BOM, BadLine, decode_line
from kedge.data.types import SourceFile

_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "head"})
_BLOCK_NAMES = """address article aside blockquote br dd details div dl dt fieldset figcaption figure footer form
h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table td th tr ul"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())


def read(file: SourceFile, options: FilesOptions) -> Iterator[Row | Reject]:
    """One row: the text of the page, with its title as a tag."""
    with open_source(file) as stream:
        data = stream.read(options.max_document_bytes + 1)
    source = f"{file.label}:1"
    if len(data) > options.max_document_bytes:
        yield quarantine(source, "too-long", f"a page of over {options.max_document_bytes} bytes")
        return
    wide = wide_encoding(data[:4])
    if wide:
        yield quarantine(source, "encoding", f"the file is in {wide}: convert it to UTF-8")
        return
    try:
        page = _Page()
        page.feed(decode_line(data.removeprefix(BOM.encode())))
        page.close()
    except BadLine as error:
        yield quarantine(source, error.reason, error.detail, data=data[:200])
        return
    except AssertionError as error:  # html.parser gives up on some malformed declarations
        yield quarantine(source, "html", str(error))
        return
    title = " ".join("".join(page.title).split())
    yield make_row(
        input=page.text, target="", source=source, tags={"file": file.label, **({"title": title} if title else {})}
    )


class _Page(HTMLParser):
    """Gathers visible text; keeps no tree, so that nesting costs nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._parts: list[str] = []
        self._hidden: list[str] = []
        self._in_title = False

    @property
    def text(self) -> str:
        """Its lines, blanks made one, empty lines too."""
        lines = [" ".join(line.split()) for line in "".join(self._parts).split("\n")]
        return "\n".join(line for i, line in enumerate(lines) if line or (i and lines[i - 1])).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Blocks stand on lines of their own."""
        self._in_title |= tag == "title"
        if tag in _HIDDEN and len(self._hidden) < 64:
            self._hidden.append(tag)
        elif tag == "body":
            self._hidden.clear()
        if tag in _BLOCKS:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """What was hidden ends."""
        self._in_title &= tag != "title"
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        if tag in _BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Text."""
        if self._in_title:
            self.title.append(data)
        elif not self._hidden:
            self._parts.append(data.replace("\0", "\ufffd"))
