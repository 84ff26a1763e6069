"""Regression sets of pinned cases: which stages read one, and which gates they put in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedge.app.project import Project

FOLDER = "regressions"


def readers(project: Project, file: str = "") -> tuple[str, ...]:
    """The dataset stages that read a regression set (any without a `file`), and the stages that read those, in the order
    of the project file."""
    found: list[str] = []
    for stage, settings in project.config.stages.items():
        sources = settings.options.get("source", ())
        tables = [sources] if isinstance(sources, Mapping) else list(sources)
        reads = settings.step == "dataset" and any(_names(table, file) for table in tables)
        if reads or any(source.partition(".")[0] in found for source in settings.inputs.values()):
            found.append(stage)
    return tuple(found)


def pinned_gates(project: Project, register: str) -> list[str]:
    """The gates over pinned cases that judge the bundle that a stage registers."""
    pinned = readers(project)
    stages = project.config.stages
    gates = [stage for stage in pinned if stages[stage].step == "gate"]
    bundle = _source(project, register, "bundle", "bundle")
    return [gate for gate in gates if _source(project, _evaluation(project, gate), "bundle", "bundle") == bundle]


def _evaluation(project: Project, gate: str) -> str:
    return _source(project, gate, "evaluation", "evaluate")


def _source(project: Project, stage: str, port: str, step: str) -> str:
    """The stage that a port is fed by: the one that is named, or the nearest before it of that step."""
    stages = project.config.stages
    if stage not in stages:
        return ""
    given = stages[stage].inputs.get(port, "").partition(".")[0]
    order = list(stages)
    earlier = [name for name in order[: order.index(stage)] if stages[name].step == step]
    return given or (earlier or [""])[-1]


def _names(table: Any, file: str) -> bool:
    path = str(table.get("path", "")).removeprefix("./") if isinstance(table, Mapping) else ""
    return path == file if file else path.startswith(f"{FOLDER}/")
