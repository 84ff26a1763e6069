"""The digest of the code that decides what is read of a file, so that a changed reader reads again."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

OURS = ("kedge.data", "kedge.text")


def digest_code(modules: Iterable[str]) -> str:
    """The digest over this room, the subject of texts, and the modules named."""
    names = sorted({*OURS, *modules})
    return hashlib.sha256("".join(map(_digest, names)).encode()).hexdigest()


@lru_cache
def _digest(name: str) -> str:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return f"{name}: no source"
    path = Path(spec.origin)
    package = path.name == "__init__.py"
    files = sorted(f for f in path.parent.rglob("*") if f.suffix in {".py", ".toml"}) if package else [path]
    hasher = hashlib.sha256(name.encode())
    for file in files:
        hasher.update(hashlib.sha256(file.read_bytes()).digest())
    return hasher.hexdigest()
