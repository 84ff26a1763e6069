"""What a file is: by what it begins with, and then by its name."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

HEAD = 1024  # bytes that are looked at

_MAGIC: Final = (
    (b"PAR1", "parquet"),
    (b"ARROW1\0\0", "arrow"),
    (b"\xff\xff\xff\xff", "arrow-stream"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"SQLite format 3\0", "database"),
    (b"\x7fELF", "program"),
    (b"FEA1", "feather-v1"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)
_SUFFIXES: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".py": "python",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".tar": "tar",
}
SUFFIXES: Final = (*_SUFFIXES, ".pdf", ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".png", ".jpg", ".jpeg", ".gif")
_BINARY: Final = frozenset({"parquet", "arrow"})


def detect(head: bytes, name: str) -> str:
    """The kind of a file by its first bytes (at least `HEAD`, if it has so many) and its name; "" if nothing fits."""
    for mark, kind in _MAGIC:
        if head.startswith(mark):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    if head[257:262] == b"ustar":
        return "tar"
    if b"%PDF-" in head:
        return "pdf"
    kind = _SUFFIXES.get(PurePosixPath(name).suffix.lower(), "")
    if kind and kind not in _BINARY:
        return kind
    return "" if not head and kind in _BINARY else _sniff(head) if not kind else f"not-{kind}"


def _sniff(head: bytes) -> str:
    """What text of an unknown name looks like."""
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = begin[:16].lower()
    if lower.startswith((b"<!doctype html", b"<html")):
        return "html"
    if begin.startswith(b"["):
        return "json"
    if begin.startswith(b"{"):
        return "jsonl"
    return "text" if head and _is_text(head) else ""


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head[: max(len(head) - 3, 1)].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 8 > 0
    return True
