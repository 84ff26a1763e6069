"""Refuses model folders that could run code: only safetensors and plain configuration come in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedge.core.errors import Invalid, Refused

_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model", ".jinja", ".md"})
_NAMES = frozenset({"LICENSE", "NOTICE", "README"})
_GRAPHS = "openvino"  # the only folder that may hold a graph (.xml) and its weights (.bin)
_PICKLE_OR_ZIP = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines", "custom_generate"})
_KERNEL_KEYS = ("attn_implementation", "experts_implementation")
_KERNELS = frozenset({None, "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"})
_CONFIG_LIMIT = 16 * 2**20
_HEADER_LIMIT = 100 * 2**20


def vet_folder(folder: Path) -> None:
    """Return if nothing in `folder` can run code when it is loaded; `Refused` names the file and the reason."""
    if not folder.is_dir():
        raise Invalid(f"not a folder: {folder}", address=str(folder))
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        if path.parent == folder / _GRAPHS and path.suffix == ".bin":
            continue  # numbers that only the graph beside them reads
        if path.suffix not in _SUFFIXES and path.name not in _NAMES and not _is_graph(path, folder):
            raise _refusal(path, "this kind of file is not loaded")
        _vet_content(path)
    if not (folder / "config.json").is_file():
        raise Invalid("the folder has no config.json", address=str(folder), hint="it must be in Hugging Face layout")


def _is_graph(path: Path, folder: Path) -> bool:
    return path.parent == folder / _GRAPHS and path.suffix == ".xml"


def _vet_content(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(_PICKLE_OR_ZIP):
        raise _refusal(path, "it holds a pickle or an archive")
    if path.suffix == ".safetensors":
        length = int.from_bytes(start[:8], "little")
        if start[8:9] != b"{" or length > min(_HEADER_LIMIT, path.stat().st_size):
            raise _refusal(path, "it is not a safetensors file")
    elif path.suffix == ".xml":
        if not start.startswith(b"<?xml "):
            raise _refusal(path, "it is not a graph")
    elif path.suffix == ".json" and "config" in path.name:
        _vet_config(path)


def _vet_config(path: Path) -> None:
    if path.stat().st_size > _CONFIG_LIMIT:
        raise _refusal(path, "a configuration this large is not read")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _refusal(path, f"it is not readable as JSON ({type(error).__name__})") from error
    for key, value in _entries(content):
        if key in _CODE_KEYS and value:
            raise _refusal(path, f"{key!r} asks for code from outside")
        if key.endswith("_internal") or (key.lstrip("_") in _KERNEL_KEYS and not _known_kernel(value)):
            raise _refusal(path, f"{key!r} asks for a kernel from outside")


def _known_kernel(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in _KERNELS)


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value at any depth."""
    pending = [content]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            yield from part.items()
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def _refusal(path: Path, reason: str) -> Refused:
    return Refused(
        f"{path.name} is refused: {reason}",
        address=path.name,
        hint="a model folder holds safetensors weights, JSON configuration and tokenizer files, and nothing that runs",
    )
