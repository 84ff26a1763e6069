"""Finds what is installed: entry points by group, and versions of packages.

Reads the metadata folders itself: `importlib.metadata` costs as much time as a whole run in which nothing is to do.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kedge.core.catalogue import Catalogue
from kedge.core.errors import KedgeError, Unavailable

logger = logging.getLogger(__name__)

_FOLDER = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-.*)?\.(dist|egg)-info")
_ENTRY = re.compile(r"(?P<name>[^=\s]+)\s*=\s*(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point: a name, where the thing is, and the package that brings it."""

    name: str
    module: str
    attribute: str
    package: str
    version: str

    def load(self) -> Any:
        """Import it. `Unavailable` names the plug-in and its package if that fails in any way."""
        try:
            found: Any = importlib.import_module(self.module)
            for part in self.attribute.split("."):
                found = getattr(found, part)
        except KedgeError:
            raise
        except Exception as error:
            raise Unavailable(
                f"{self.name!r} of {self.package} {self.version} cannot be loaded: {type(error).__name__}: {error}",
                address=f"{self.module}:{self.attribute}",
                hint=f"upgrade or reinstall {self.package}; everything else goes on without it",
            ) from error
        return found


def find_plugins(group: str) -> list[Plugin]:
    """Every entry point of a group, by package and name."""
    found = [plugin for folder in _metadata() for plugin in folder.entries(group)]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.package != "kedge", plugin.package))


def catalogue(kind: str, group: str) -> Catalogue[Any]:
    """The things of a group by name, each imported when asked for. Of two with one name the second is reported."""
    things: Catalogue[Any] = Catalogue(kind)
    owners: dict[str, Plugin] = {}
    for plugin in find_plugins(group):
        first = owners.setdefault(plugin.name, plugin)
        if first is plugin:
            things.add(plugin.name, plugin.load)
        else:
            facts = {"plugin": plugin.name, "package": plugin.package, "used": first.package}
            logger.warning("a plug-in has a name that is taken and is not used", extra=facts)
    return things


def find_versions(packages: Iterable[str]) -> Mapping[str, str]:
    """The installed version of each package, `absent` if there is none."""
    installed: dict[str, str] = {}
    for folder in _metadata():
        installed.setdefault(folder.package, folder.version)
    return {package: installed.get(_normal(package), "absent") for package in packages}


def _metadata() -> list[_Folder]:
    return [folder for path in sys.path for folder in _scan(path or os.curdir)]


@dataclass(frozen=True, slots=True)
class _Folder:
    """A `*.dist-info` or `*.egg-info` folder."""

    path: str
    package: str
    version: str

    def entries(self, group: str) -> list[Plugin]:
        """Its entry points of one group."""
        return [
            Plugin(name=name, module=module, attribute=attribute, package=self.package, version=self.version)
            for name, module, attribute in _entry_points(self.path).get(group, ())
        ]


@cache
def _scan(path: str) -> tuple[_Folder, ...]:
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(("-info",)))
    except OSError:
        return ()
    folders = []
    for name in names:
        match = _FOLDER.fullmatch(name)
        if match:
            folders.append(_Folder(f"{path}/{name}", _normal(match["name"]), match["version"]))
    return tuple(folders)


@cache
def _entry_points(folder: str) -> Mapping[str, list[tuple[str, str, str]]]:
    try:
        lines = Path(folder, "entry_points.txt").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    groups: dict[str, list[tuple[str, str, str]]] = {}
    group = ""
    for line in lines:
        text = line.strip()
        if text.startswith("["):
            group = text.strip("[]")
        elif match := _ENTRY.match(text):
            groups.setdefault(group, []).append((match["name"], match["module"], match["attribute"]))
    return groups


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
