"""Scorers, baselines and perturbations from their names, and the files in which answers are kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kedge.app.project import STATE
from kedge.app.steps.evaluate import read_spec
from kedge.config import resolve_secret
from kedge.core.catalogue import Catalogue
from kedge.core.errors import Invalid
from kedge.core.hashing import digest_of
from kedge.core.ports import Progress
from kedge.core.spec import Spec
from kedge.evaluate.answer import Kept
from kedge.evaluate.types import Means, Scorer
from kedge.pipeline.sources import Sources
from kedge.plugins import catalogue, find_plugins, find_versions

Given = str | Mapping[str, Any]


def make_scorers(given: Sequence[Given], means: Means) -> list[Scorer]:
    """The scorers that are named; one name may stand for several metrics. `NotFound` lists the names; `Invalid` for
    arguments that one does not take."""
    known = catalogue("scorer", "kedge.scorers")
    scorers: list[Scorer] = []
    for each in given:
        made = make(known, read_spec(each), means=means)
        several = made if isinstance(made, Sequence) else [made]
        if not all(isinstance(one, Scorer) for one in several):
            raise Invalid(f"scorer {read_spec(each).name} did not make a Scorer", address=read_spec(each).name)
        scorers += several
    return scorers


def make(known: Catalogue[Callable[..., Any]], spec: Spec, *, means: Means | None = None) -> Any:
    """What a spec names. A maker that has a parameter `means` is given what it needs to ask others."""
    maker = known.get(spec.name)
    given = {"means": means} if means is not None and "means" in inspect.signature(maker).parameters else {}
    try:
        return maker(**spec.args, **given)
    except TypeError as error:
        takes = ", ".join(name for name in inspect.signature(maker).parameters if name != "means")
        raise Invalid(
            f"{known.kind} {spec.name}: {error}", address=spec.name, hint=f"it takes: {takes or 'no arguments'}"
        ) from error


def make_means(root: Path, progress: Progress) -> Means:
    """What a scorer that asks others is given in the project at `root`."""
    return Means(secret=lambda reference: resolve_secret(reference, root=root), cache=_folder(root), progress=progress)


def kept(root: Path, *, code: Sequence[str] = (), packages: Sequence[str] = (), **facts: Any) -> Kept:
    """Where the answers are kept of whoever is described by these facts, this code and these packages. What decides an
    answer is part of the file's name, so that an old answer never passes for a new one."""
    told = {"code": dict(Sources().modules(code)), "packages": dict(find_versions(packages)), **facts}
    return Kept(_folder(root) / f"{digest_of(told).removeprefix('sha256:')[:32]}.jsonl")


def plugin_version(group: str, name: str) -> str:
    """The package behind a name and its version, as far as that is known."""
    found = next((plugin for plugin in find_plugins(group) if plugin.name == name), None)
    return f"{found.package} {found.version}" if found else ""


def _folder(root: Path) -> Path:
    return root / STATE / "cache" / "answers"
