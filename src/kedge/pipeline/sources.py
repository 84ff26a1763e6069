"""The digest of the source code that decides what a step makes."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from kedge.core.errors import Invalid


class Sources:
    """Reads source files once each; keep it for one plan and no longer, as files change."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def modules(self, names: Iterable[str]) -> Mapping[str, str]:
        """Every module of the named modules and packages, and the tables beside them (`.toml`), with the digest of its
        source. Nothing is imported."""
        found: dict[str, str] = {}
        for name in names:
            path = _locate(name)
            if path.is_dir():
                found |= {_dotted(name, str(path), file): self._digest(file) for file in _source_files(str(path))}
            else:
                found[name] = self._digest(str(path))
        return dict(sorted(found.items()))

    def _digest(self, file: str) -> str:
        if file not in self._files:
            self._files[file] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        return self._files[file]


def _locate(name: str) -> Path:
    """The file of a module, or the folder of a package."""
    top, _, rest = name.partition(".")
    spec = importlib.util.find_spec(top)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if spec and not rest:
        places, single = places or [], spec.origin
        if places:
            return Path(places[0])
        if single and single.endswith(".py"):
            return Path(single)
    for place in places:
        path = Path(place, *rest.split("."))
        if path.is_dir():
            return path
        if path.with_suffix(".py").is_file():
            return path.with_suffix(".py")
    raise Invalid(f"no source code is found for {name!r}", address=name, hint="a step's `code` names Python modules")


def _source_files(folder: str) -> list[str]:
    files: list[str] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir() and entry.name != "__pycache__":
                files.extend(_source_files(entry.path))
            elif entry.name.endswith((".py", ".toml")):
                files.append(entry.path)
    return files


def _dotted(package: str, folder: str, file: str) -> str:
    parts = file[len(folder) + 1 :].removesuffix(".py").split("/")
    return ".".join([package, *(part for part in parts if part != "__init__")])
