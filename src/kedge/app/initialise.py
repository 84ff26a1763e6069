"""Makes a project of a folder: a commented `kedge.toml` for the user's own JSON Lines."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from kedge.app.project import FILE, STATE, find_root
from kedge.core.catalogue import nearest
from kedge.core.errors import Conflict, Invalid

__all__ = ["CI", "Initialised", "initialise", "initialise_ci"]

CI = {
    "github": (".github/workflows/kedge.yml", "github.yml"),
    "gitlab": (".gitlab-ci.yml", "gitlab.yml"),
    "jenkins": ("Jenkinsfile", "Jenkinsfile"),
    "travis": (".travis.yml", "travis.yml"),
}
TEMPLATE = Path(__file__).with_name("template.toml")
KNOWN = (("input", "target"), ("prompt", "completion"), ("instruction", "output"), ("question", "answer"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What was written. `found` tells whether the data is there already."""

    folder: str
    name: str
    data: str
    found: bool
    written: tuple[str, ...]


def initialise(folder: Path, *, data: str = "rows.jsonl", name: str = "") -> Initialised:
    """Write `kedge.toml` and `.gitignore` to a folder, which is made if need be. `Conflict` if it is a project."""
    folder = folder.expanduser().resolve()
    target = folder / FILE
    if target.exists():
        raise Conflict(f"there is a {FILE} already", address=str(target), hint="edit it, or name another folder")
    called = name or _name(folder)
    found = (folder / data).is_file()
    fields = _fields(folder / data) if found else ""
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in (("name", called), ("data", _escaped(data)), ("fields", fields)):
        text = text.replace(f"@{mark}@", value)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Conflict(f"there is a {FILE} already", address=str(target), hint="edit it") from error
    written = (FILE, ".gitignore") if _ignore_state(folder / ".gitignore") else (FILE,)
    return Initialised(folder=str(folder), name=called, data=data, found=found, written=written)


def initialise_ci(folder: Path, service: str) -> Initialised:
    """Write the file by which a build server runs the project in a folder and judges its newest versions. `NotFound` if
    the folder holds no project, `Conflict` if the file is there already; `Invalid` for another service."""
    if service not in CI:
        raise Invalid(f"no template for {service!r}", address=service, hint=nearest(service, CI))
    root = find_root(folder.expanduser())
    place, template = CI[service]
    target = root / place
    text = (TEMPLATE.parent / "ci" / template).read_text(encoding="utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Conflict(
            f"there is a {place} already", address=str(target), hint="move it away, or take what you need from kedge's"
        ) from error
    return Initialised(folder=str(root), name="", data="", found=True, written=(place,))


def _name(folder: Path) -> str:
    """The folder's name as a project can be called."""
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("-_")[:64]
    return name or "project"


def _fields(data: Path) -> str:
    """How the source must be told which fields to take; nothing when it knows by itself."""
    with data.open("rb") as lines:
        first = next((line for line in lines if line.strip()), b"")
    try:
        row = json.loads(first)
    except ValueError as error:
        raise Invalid(
            f"{data.name}:1: not a line of JSON: {error}", hint="each line must be one JSON object"
        ) from error
    if not isinstance(row, dict):
        raise Invalid(f"{data.name}:1: not a JSON object", hint='as in {"input": "...", "target": "..."}')
    if any(asked in row and answered in row for asked, answered in KNOWN) or list(row) == ["text"]:
        return ""
    texts = [key for key, value in row.items() if isinstance(value, str)]
    if len(texts) < 2:
        return f", input = {_quoted(texts[0])}" if texts else ""
    return f", input = {_quoted(texts[0])}, target = {_quoted(texts[1])}"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _ignore_state(path: Path) -> bool:
    """Keep what kedge stores out of git; whether the file changed."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if any(line.strip().rstrip("/") == STATE for line in before.splitlines()):
        return False
    gap = "" if not before or before.endswith("\n") else "\n"
    path.write_text(f"{before}{gap}{STATE}/\n", encoding="utf-8")
    return True
