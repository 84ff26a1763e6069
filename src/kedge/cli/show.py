"""`kedge show`: one run with its curves, one artifact, or one version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import click

from kedge.app import show as verb
from kedge.app.project import open_project
from kedge.cli.columns import columns
from kedge.cli.curves import beside, draw_curve
from kedge.cli.progress import span, written
from kedge.cli.render import emit
from kedge.cli.runs import COLOURS, draw_runs

ENOUGH = 3  # points from which on a metric is drawn as a curve


@click.command("show")
@click.argument("name", metavar="RUN|STAGE|ARTIFACT|VERSION")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(path: str, name: str, as_json: bool) -> None:
    """Show a run with its curves, an artifact or a version.

    A run or an artifact can be named by the beginning of its id, a stage stands for its newest run, and a version is
    written as schemas@7 or schemas@production.
    """
    result = verb.show(open_project(path), name)
    emit(result, as_json=as_json, draw=lambda: _draw(result))


def _draw(result: verb.RunView | verb.ArtifactView | verb.ModelView) -> str:
    if isinstance(result, verb.RunView):
        return _draw_run(result)
    return _draw_artifact(result) if isinstance(result, verb.ArtifactView) else _draw_version(result)


def _draw_run(view: verb.RunView) -> str:
    run = view.run
    took = f" in {span((run.ended - run.started).total_seconds())}" if run.ended else ""
    facts = [
        ("stage", f"{run.stage} ({run.spec.name})"),
        ("state", click.style(str(run.status), fg=COLOURS[run.status]) + took),
        ("started", f"{run.started.astimezone():%Y-%m-%d %H:%M:%S %Z}"),
        *([("error", run.error)] if run.error else []),
        *[(f"in   {port}", digest) for port, digest in sorted(run.inputs.items())],
        *[(f"out  {port}", digest) for port, digest in sorted(run.outputs.items())],
        ("code", run.code[:19]),
        ("with", written(dict(run.environment))),
    ]
    parts = [_title(f"run {run.id}"), _facts(facts), _title("options"), _facts(_flat(run.params))]
    single = {name: points[-1].value for name, points in view.curves.items() if 0 < len(points) < ENOUGH}
    if single:
        parts += [_title("figures"), _facts([(name, f"{value:.6g}") for name, value in single.items()])]
    width = shutil.get_terminal_size((120, 40)).columns
    across = min(60, max(20, width // 2 - 15)) if width >= 80 else max(20, width - 14)
    charts = [draw_curve(name, points, width=across) for name, points in view.curves.items() if len(points) >= ENOUGH]
    return "\n".join([*parts, *([_title("curves"), beside(charts, width=width)] if charts else [])])


def _draw_artifact(view: verb.ArtifactView) -> str:
    facts = [("kind", str(view.artifact.kind)), ("size", f"{view.artifact.size:,} bytes")]
    facts += [("version", version.address) for version in view.versions]
    parts = [_title(view.artifact.digest), _facts(facts)]
    if view.layers:
        rows = [(layer.title, f"{layer.size:,}".rjust(14), layer.digest) for layer in view.layers]
        parts += [_title("files"), columns(("name", "         bytes", "digest"), rows)]
    parts += [_title("config"), _facts(_flat(view.config))]
    for title, found in (("made by", view.made_by), ("used by", view.used_by)):
        if found:
            parts += [_title(title), draw_runs(found)]
    return "\n".join(parts)


def _draw_version(view: verb.ModelView) -> str:
    version = view.version
    facts = [
        ("bundle", version.bundle),
        ("model", version.model),
        ("card", version.card),
        ("run", version.run),
        ("registered", f"{version.registered.astimezone():%Y-%m-%d %H:%M:%S} by {version.by}"),
        ("aliases", ", ".join(view.aliases) or "none"),
        ("size", f"{view.size:,} bytes"),
    ]
    parts = [_title(version.address), _facts(facts), _title("bundle"), _facts(_flat(view.bundle))]
    for verdict in view.verdicts:
        parts.append(_title(f"verdict: {verdict.outcome}"))
        parts += [f"  {finding.outcome}: {finding.text}" for finding in verdict.findings]
    return "\n".join(parts)


def _title(text: str) -> str:
    return "\n" + click.style(text, bold=True)


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in facts), default=0)
    return "\n".join(f"  {name:{width}}  {value}" for name, value in facts if value)


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values under dotted names, each as short JSON."""
    flat: list[tuple[str, str]] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            flat += _flat(inner, f"{prefix}{key}.")
        else:
            text = json.dumps(inner, ensure_ascii=False, default=str)
            flat.append((f"{prefix}{key}", text if len(text) <= 100 else f"{text[:97]}..."))
    return flat
