"""Reads `kedge.toml`: defaults < file < `KEDGE__ROOM__KEY` < `--set room.key=value`. Nothing else reads the environment.

A wrong key or value is `Invalid` with the file, the line and the nearest key. Secrets are references, `env:NAME` or
`file:PATH`, resolved by `resolve_secret` and never shown.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from kedge.core.access import Allowance
from kedge.core.address import parse_name
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, NotFound
from kedge.core.settings import (
    EndpointSettings,
    GatewaySettings,
    ModelSettings,
    ProjectSettings,
    Setting,
    StageSettings,
    StoreSettings,
    TrackingSettings,
)
from kedge.core.toml import KeyPath, find_lines, find_unknown

T = TypeVar("T")

ROOMS: dict[str, type[Any]] = {
    "project": ProjectSettings,
    "store": StoreSettings,
    "models": ModelSettings,
    "gateway": GatewaySettings,
    "tracking": TrackingSettings,
}
NAMED: dict[str, type[Any]] = {"stages": StageSettings, "endpoints": EndpointSettings, "tenants": Allowance}
PREFIX = "KEDGE__"
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)
_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A project's settings. `overrides` maps each overridden path to the variable or flag that did it."""

    file: Path
    project: ProjectSettings
    store: StoreSettings = field(repr=False)
    models: ModelSettings
    gateway: GatewaySettings
    tracking: TrackingSettings
    stages: Mapping[str, StageSettings]
    endpoints: Mapping[str, EndpointSettings]
    tenants: Mapping[str, Allowance]
    raw: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)
    overrides: Mapping[KeyPath, str]
    sets: tuple[str, ...] = field(default=(), repr=False)

    def with_sets(self, sets: Sequence[str]) -> Config:
        """The same file read again with more overrides."""
        return load_config(self.file, sets=(*self.sets, *sets)) if sets else self

    def place(self, path: KeyPath) -> str:
        """Where a value comes from: `kedge.toml:12`, an environment variable, `--set`, or the file if it is absent."""
        return place(self.file, self.text, self.overrides, path)

    def options(self, stage: str, kind: type[T]) -> T:
        """The options of a stage read into its step's type. `Invalid` names the line and the nearest key."""
        raw = self.stages[stage].options
        reserved = {"step", "inputs"}
        return _read(kind, raw, ("stages", stage), self.place, reserved)


def load_config(file: Path, *, sets: Sequence[str] = ()) -> Config:
    """Read a project file with its overrides. `Invalid` says where and how."""
    text = _text(file)
    raw = _parse(file, text)
    overrides = _override(raw, sets)

    def where(path: KeyPath) -> str:
        return place(file, text, overrides, path)

    _check_rooms(raw, where)
    rooms = {room: _read(kind, raw.get(room, {}), (room,), where) for room, kind in ROOMS.items() if room != "project"}
    project = _read(ProjectSettings, {"name": file.parent.name, **raw.get("project", {})}, ("project",), where)
    if project.secret:
        _check_reference(project.secret, where(("project", "secret")))
    rooms["store"] = _resolve_store(rooms["store"], file.parent)
    stages = {name: _stage(name, table, where) for name, table in raw.get("stages", {}).items()}
    endpoints = {
        _named(name, ("endpoints", name), where): _read(EndpointSettings, table, ("endpoints", name), where)
        for name, table in raw.get("endpoints", {}).items()
    }
    tenants = {
        _named(name, ("tenants", name), where): _read(Allowance, table, ("tenants", name), where)
        for name, table in raw.get("tenants", {}).items()
    }
    return Config(
        file=file,
        project=project,
        stages=stages,
        endpoints=endpoints,
        tenants=tenants,
        raw=raw,
        text=text,
        overrides=overrides,
        sets=tuple(sets),
        **rooms,
    )


def list_settings(config: Config) -> list[Setting]:
    """Every setting of the fixed tables and every value of the named ones, with its origin; passwords are hidden."""
    lines = find_lines(config.text)
    settings = []
    for room, kind in ROOMS.items():
        given = config.raw.get(room, {})
        for each in fields(kind):
            path = (room, each.name)
            shown = given.get(each.name, getattr(getattr(config, room), each.name))
            if room == "store":
                shown = given.get(each.name, each.default)
            settings.append(_setting(config, lines, path, shown))
    for room, kind in NAMED.items():
        for name, table in config.raw.get(room, {}).items():
            known = {each.name: each.default for each in fields(kind)} if room != "stages" else {}
            for key, value in {**known, **table}.items():
                settings.append(_setting(config, lines, (room, name, key), value))
    return settings


def _setting(config: Config, lines: Mapping[KeyPath, int], path: KeyPath, value: Any) -> Setting:
    if isinstance(value, str):
        value = _PASSWORD.sub(r"\1:***@", value)
    origin = config.overrides.get(path) or (f"{config.file.name}:{lines[path]}" if path in lines else "default")
    return Setting(key=".".join(path), value=value, origin=origin)


def place(file: Path, text: str, overrides: Mapping[KeyPath, str], path: KeyPath) -> str:
    """Where the value at `path`, or the nearest table around it, was given."""
    lines = find_lines(text)
    for depth in range(len(path), 0, -1):
        if path[:depth] in overrides:
            return overrides[path[:depth]]
        if path[:depth] in lines:
            return f"{file.name}:{lines[path[:depth]]}"
    return file.name


def resolve_secret(reference: str, *, root: Path) -> str:
    """What `env:NAME` or `file:PATH` refers to. `NotFound` if it is not there; the value is never part of an error."""
    _check_reference(reference, "a secret")
    kind, name = reference.split(":", 1)
    if kind == "env":
        if name not in os.environ:
            raise NotFound(f"the environment variable {name} is not set", address=reference, hint=f"export {name}=...")
        return os.environ[name]
    try:
        return (root / name).expanduser().read_text().rstrip("\n")
    except OSError as error:
        raise NotFound(f"cannot read the secret: {error.strerror}", address=reference, hint=f"check {name}") from error


def _check_reference(reference: str, where: str) -> None:
    if not _REFERENCE.fullmatch(reference):
        raise Invalid(
            f"{where}: a secret must be a reference, not the value itself",
            hint="write env:NAME for an environment variable or file:PATH for a file",
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no {file}", hint="kedge init writes one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read {file}: {error}") from error


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        at = f":{found[1]}:{found[2]}" if found else ""
        said = str(error).split(" (at ", maxsplit=1)[0]
        raise Invalid(f"{file.name}{at}: not valid TOML: {said}", hint="https://toml.io shows the format") from error


def _check_rooms(raw: Mapping[str, Any], where: Callable[[KeyPath], str]) -> None:
    known = [*ROOMS, *NAMED]
    for room, table in raw.items():
        if room not in known:
            raise Invalid(f"{where((room,))}: unknown table [{room}]", address=room, hint=nearest(room, known))
        tables = table.values() if room in NAMED and isinstance(table, dict) else [table]
        if not all(isinstance(each, dict) for each in tables):
            shape = f"[{room}.NAME]" if room in NAMED else f"[{room}]"
            raise Invalid(f"{where((room,))}: {room} must be written as {shape} tables", address=room)


def _stage(name: str, table: Mapping[str, Any], where: Callable[[KeyPath], str]) -> StageSettings:
    path = ("stages", _named(name, ("stages", name), where))
    given = {key: value for key, value in table.items() if key in ("step", "inputs")}
    options = {key: value for key, value in table.items() if key not in given}
    return _read(StageSettings, {"step": name, **given, "options": options}, path, where)


def _named(name: str, path: KeyPath, where: Callable[[KeyPath], str]) -> str:
    try:
        parse_name(name)
    except Invalid as error:
        raise Invalid(f"{where(path)}: {error.message}", hint=error.hint) from error
    if "." in name:
        raise Invalid(f"{where(path)}: a name here has no dots: {name!r}", hint="use - or _ instead")
    return name


def _resolve_store(store: StoreSettings, root: Path) -> StoreSettings:
    ledger = _location(store.ledger, root, "sqlite:///")
    beside = ledger if store.traces == "" and not ledger.startswith("sqlite:") else ".kedge/traces.db"
    return StoreSettings(
        ledger=ledger,
        blobs=_location(store.blobs, root, ""),
        traces=_location(store.traces or beside, root, "sqlite:///"),
    )


def _location(given: str, root: Path, scheme: str) -> str:
    """A URL as it is (references resolved), a path made absolute under the project's folder."""
    text = resolve_secret(given, root=root) if _REFERENCE.fullmatch(given) and "://" not in given else given
    return text if "://" in text else f"{scheme}{root / Path(text).expanduser()}"


def _override(raw: dict[str, Any], sets: Sequence[str]) -> dict[KeyPath, str]:
    """Write environment variables and flags into `raw`; what was overridden, and by what."""
    overrides: dict[KeyPath, str] = {}
    for variable, text in sorted(os.environ.items()):
        if variable.startswith(PREFIX):
            path = _resolve(raw, variable.removeprefix(PREFIX).lower().split("__"))
            _write(raw, path, _value(path, text))
            overrides[path] = variable
    for given in sets:
        key, equals, text = given.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path) or len(path) < 2:
            raise Invalid(f"--set {given}: not of the form table.key=value", hint="as in --set stages.train.steps=200")
        if path[0] not in ROOMS and path[0] in raw.get("stages", {}):
            path = ("stages", *path)
        _write(raw, path, _value(path, text))
        overrides[path] = f"--set {key}"
    return overrides


def _resolve(raw: Mapping[str, Any], parts: Sequence[str]) -> KeyPath:
    """A variable's words as a path; names written with - or . in the file are found under _."""
    path: list[str] = []
    here: Any = raw
    for part in parts:
        names = here if isinstance(here, dict) else {}
        found = next((n for n in names if re.sub("[-.]", "_", n.lower()) == part), part)
        path.append(found)
        here = names.get(found)
    return tuple(path)


def _write(raw: dict[str, Any], path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        inner = raw.get(part)
        raw[part] = dict(inner) if isinstance(inner, dict) else {}
        raw = raw[part]
    raw[path[-1]] = value


def _value(path: KeyPath, text: str) -> Any:
    """`text` as TOML, or verbatim where the setting is a string or it is not TOML."""
    kind = ROOMS.get(path[0]) or NAMED.get(path[0])
    if kind is not None and get_type_hints(kind).get(path[-1]) is str:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _read(
    kind: type[T],
    raw: Mapping[str, Any],
    path: KeyPath,
    where: Callable[[KeyPath], str],
    reserved: set[str] | None = None,
) -> T:
    """A table as its type. `Invalid` with place, key and what was expected."""
    unknown = find_unknown(kind, raw, path)
    if unknown is not None:
        raise Invalid(
            f"{where(unknown.path)}: unknown key {unknown.path[-1]!r} in [{'.'.join(unknown.path[:-1])}]",
            address=".".join(unknown.path),
            hint=nearest(unknown.path[-1], {*unknown.known, *(reserved or ())}),
        )
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        said, _, at = str(error).partition(" - at `$")
        inner = tuple(part for part in re.split(r"[.\[\]`]+", at) if part and part != "...")
        full = (*path, *inner)
        raise Invalid(f"{where(full)}: {'.'.join(full)}: {_plain(said)}", address=".".join(full)) from error
    except Invalid as error:
        raise Invalid(f"{where(path)}: {error.message}", address=".".join(path), hint=error.hint) from error


def _plain(said: str) -> str:
    """msgspec's words in ours."""
    said = said.replace("Object missing required field", "missing key").replace("Expected", "expected")
    return said.replace("`", "'")
