"""Evaluations: make one of anything that answers, take in those of other tools, find and read them."""

from __future__ import annotations

import importlib
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from kedge.app.aliases import resolve
from kedge.app.project import Project
from kedge.app.runs import run_one
from kedge.app.status import alive
from kedge.app.steps.evaluate import EvaluateOptions, RemoteOptions, read_spec
from kedge.app.steps.harness import HarnessOptions
from kedge.core.artifact import ArtifactKind
from kedge.core.catalogue import nearest
from kedge.core.errors import Invalid, KedgeError, NotFound, Unavailable
from kedge.core.evaluation import CaseResult, Evaluation, MetricResult
from kedge.core.hashing import digest_of
from kedge.core.ledger import RunQuery
from kedge.core.manifest import read_config
from kedge.core.ports import Progress, Silent
from kedge.core.release import Role
from kedge.core.run import Run, RunStatus
from kedge.core.spec import Spec, to_plain
from kedge.core.toml import find_unknown
from kedge.evaluate.report import read_cases, read_evaluation, write_evaluation
from kedge.pipeline.types import Stage, StageState
from kedge.plugins import catalogue

SILENT = Silent()
KEY = "env:KEDGE_KEY"
_DATASET = re.compile(r"(?P<name>[^@:]+)(@(?P<version>[1-9]\d*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationView:
    """An evaluation on record: its digest, the run that made it, and for each metric the slice where it is worst.

    `fresh` tells whether this call made it or it was known already.
    """

    digest: str
    run: str
    evaluation: Evaluation
    worst: Mapping[str, MetricResult]
    fresh: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is evaluated: a bundle on record, or a server."""

    bundle: str = ""
    remote: RemoteOptions | None = None


def evaluate(
    project: Project,
    what: str,
    *,
    dataset: str,
    options: EvaluateOptions,
    force: bool = False,
    progress: Progress = SILENT,
) -> EvaluationView:
    """Evaluate a version (`schemas@7`), a bundle by digest, an endpoint (`endpoint:schemas`) or a server's URL on a dataset.

    It is recorded as a run of step `evaluate`; one that is known is not made again unless `force`d, and answers that are
    kept are not asked for again. `NotFound`; `Invalid`; `Failed`.
    """
    _check_names(options)
    subject = _subject(project, what, options.remote)
    inputs = {"dataset": _dataset(project, dataset)}
    if subject.remote is None:
        inputs = {"bundle": subject.bundle, **inputs}
        options = replace(options, remote=None)
    elif force:
        options = replace(options, remote=replace(subject.remote, revision=secrets.token_hex(8)))
    else:
        options = replace(options, remote=subject.remote)
    return _run(project, "evaluate", options, inputs, force=force, progress=progress)


def harness(
    project: Project, what: str, *, options: HarnessOptions, force: bool = False, progress: Progress = SILENT
) -> EvaluationView:
    """Ask a version or a bundle tasks of lm-evaluation-harness. `Invalid` for a server: the harness asks those itself."""
    subject = _subject(project, what, None)
    if subject.remote is not None:
        raise Invalid(
            "the harness asks servers itself", hint="lm_eval --model local-completions, then import its files"
        )
    return _run(project, "harness", options, {"bundle": subject.bundle}, force=force, progress=progress)


def take_in(project: Project, path: Path) -> EvaluationView:
    """Record what lm-evaluation-harness (with `--log_samples`) or Inspect (in JSON) wrote, case by case. The same files
    again give the evaluation that they have."""
    if not path.exists():
        raise NotFound(f"no such file or folder: {path}", address=str(path))
    importer = importlib.import_module("kedge.evaluate.importers.read")  # by name: only this loads statistics
    foreign, report = importer.read(path)
    artifact = write_evaluation(project.blobs, report)
    key = digest_of({"import": artifact.digest})
    known = project.ledger.runs.succeeded(key)
    if known is None:
        now = project.clock.now()
        spec = Spec(name="import", args={"tool": foreign.tool, "subject": foreign.subject, "file": path.name})
        known = Run(id=secrets.token_hex(8), stage="import", spec=spec, key=key, status=RunStatus.RUNNING, started=now)
        with project.recorded("evaluation.import", artifact.digest, tool=foreign.tool, file=path.name) as tx:
            tx.artifacts.add(artifact, at=now)
            tx.runs.start(known)
            tx.runs.finish(known.id, RunStatus.SUCCEEDED, ended=now, outputs={"evaluation": artifact.digest})
        return _view(artifact.digest, known.id, report.evaluation, fresh=True)
    return _view(artifact.digest, known.id, report.evaluation)


def listing(project: Project, *, limit: int = 50) -> list[EvaluationView]:
    """The newest evaluations first, of whatever bundle or server."""
    seen: dict[str, EvaluationView] = {}
    for run in project.ledger.runs.search(RunQuery(where="status = 'succeeded'", limit=20 * limit)):
        found = run.outputs.get("evaluation")
        if found and found not in seen and len(seen) < limit:
            seen[found] = _view(found, run.id, read_evaluation(project.blobs, found))
    return list(seen.values())


def show(project: Project, name: str) -> EvaluationView:
    """One evaluation by its digest or the beginning of it, by its run, or the newest of a version. `NotFound`."""
    found, run = find(project, name)
    return _view(found, run, read_evaluation(project.blobs, found))


def find(project: Project, name: str) -> tuple[str, str]:
    """The digest of an evaluation, and the run that made it."""
    ledger = project.ledger
    if "@" in name:
        made = [run for run in ledger.runs.using(resolve(ledger, name).bundle) if "evaluation" in run.outputs]
        if not made:
            raise NotFound(f"{name} was not evaluated yet", address=name, hint=f"kedge evaluate {name} --data DATASET")
        return made[-1].outputs["evaluation"], made[-1].id
    try:
        artifact = ledger.artifacts.get(name if name.startswith("sha256:") else f"sha256:{name}").digest
    except KedgeError:
        run = ledger.runs.get(name)
        if "evaluation" not in run.outputs:
            raise NotFound(f"run {name} made no evaluation", address=name, hint="kedge evaluate list") from None
        return run.outputs["evaluation"], run.id
    runs = ledger.runs.producing(artifact)
    return artifact, runs[-1].id if runs else ""


def cases(project: Project, name: str, *, answerer: str = "model") -> list[CaseResult]:
    """Every case of an evaluation by one answerer."""
    return [case for case in read_cases(project.blobs, find(project, name)[0]) if case.answerer == answerer]


def read_task(file: Path) -> dict[str, Any]:
    """A task from a TOML file: the keys of an evaluate stage. `Invalid` names an unknown key and the nearest."""
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"cannot read {file}: {error.strerror}", address=str(file)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: not TOML: {error}", address=str(file)) from error
    unknown = find_unknown(EvaluateOptions, raw)
    if unknown is not None:
        raise Invalid(
            f"{file}: a task has no key {'.'.join(unknown.path)!r}",
            address=str(file),
            hint=f"it has: {', '.join(unknown.known)}",
        )
    return raw


def make_options(raw: Mapping[str, Any]) -> EvaluateOptions:
    """The options of an evaluation from plain values."""
    try:
        return msgspec.convert(dict(raw), EvaluateOptions)
    except msgspec.ValidationError as error:
        raise Invalid(f"the task is wrong: {error}") from error


def read_scorer(text: str) -> str | dict[str, Any]:
    """A scorer, baseline or perturbation as it is written on a command line: `exact_match`, `numeric:tolerance=0.01`, or
    a table as in kedge.toml: `{name = "regex", pattern = "a,b"}`."""
    written = text.strip()
    if not written.startswith("{"):
        name, _, rest = written.partition(":")
        if not rest:
            return name
        written = "{" + f"name = {msgspec.json.encode(name).decode()}, {rest.replace('=', ' = ')}" + "}"
    try:
        table: dict[str, Any] = tomllib.loads(f"it = {written}")["it"]
    except tomllib.TOMLDecodeError as error:
        raise Invalid(
            f"cannot read {text!r}: {error}", address=text, hint='write numeric:tolerance=0.01 or {name = "regex", ...}'
        ) from error
    return table


def _run(
    project: Project,
    step: str,
    options: EvaluateOptions | HarnessOptions,
    inputs: Mapping[str, str],
    *,
    force: bool,
    progress: Progress,
) -> EvaluationView:
    kind = project.steps.get(step)
    stage = Stage(name=step, step=kind, options=options, spec=Spec(name=step, args=to_plain(options)))
    result = run_one(project, stage, inputs, force=force, progress=progress)
    outcome = result.stages[0]
    made = outcome.outputs["evaluation"]
    fresh = outcome.state is not StageState.SKIPPED
    return _view(made, outcome.run, read_evaluation(project.blobs, made), fresh=fresh, seconds=outcome.seconds)


def _subject(project: Project, what: str, remote: RemoteOptions | None) -> Subject:
    if what.startswith(("http://", "https://")):
        if remote is None or not remote.model:
            raise Invalid(f"which model of {what}?", address=what, hint="name it with --model")
        return Subject(remote=replace(remote, url=what))
    if what.startswith("endpoint:"):
        return Subject(remote=_endpoint(project, what.removeprefix("endpoint:"), remote))
    if "@" not in what and all(c in "0123456789abcdef" for c in what.removeprefix("sha256:")) and len(what) >= 6:
        artifact = project.ledger.artifacts.get(what if what.startswith("sha256:") else f"sha256:{what}")
        if artifact.kind is not ArtifactKind.BUNDLE:
            raise Invalid(
                f"{what} is a {artifact.kind}, not a bundle", address=what, hint="kedge models lists versions"
            )
        return Subject(bundle=artifact.digest)
    return Subject(bundle=resolve(project.ledger, what).bundle)


def _endpoint(project: Project, name: str, remote: RemoteOptions | None) -> RemoteOptions:
    """A live gateway of an endpoint, with the bundle that it serves now as what tells its states apart."""
    known = {endpoint.name: endpoint for endpoint in project.ledger.releases.endpoints()}
    if name not in known:
        raise NotFound(
            f"no endpoint {name!r}", address=name, hint=f"there are: {', '.join(sorted(known)) or 'none yet'}"
        )
    beats = alive(project, name)
    if not beats:
        raise Unavailable(f"nothing serves {name!r} now", address=name, hint=f"kedge serve {name}")
    stable = project.ledger.releases.current(name).get(Role.STABLE)
    given = remote or RemoteOptions(url=beats[-1].url, model=known[name].model)
    return replace(
        given,
        url=beats[-1].url,
        model=given.model or known[name].model,
        key=given.key or KEY,
        revision=stable.bundle if stable else "",
    )


def _dataset(project: Project, address: str) -> str:
    """The digest of a dataset by `name` or `name@2`; whatever else is left to the application's own look-up.

    Evaluating is often done again with another scorer: it need not load what reads rows to find out which they are.
    """
    match = _DATASET.fullmatch(address)
    if match is not None:
        artifacts = [each for each in project.ledger.artifacts.all() if each.kind is ArtifactKind.DATASET]
        named = [each.digest for each in artifacts if read_config(project.blobs, each.digest)["name"] == match["name"]]
        number = int(match["version"] or len(named))
        if 1 <= number <= len(named):
            return named[number - 1]
    found: str = importlib.import_module("kedge.app.data").resolve(project, address).digest
    return found


def _check_names(options: EvaluateOptions) -> None:
    """Find a misspelt name before anything is started."""
    for kind, group, given in (
        ("scorer", "kedge.scorers", options.scorers),
        ("baseline", "kedge.baselines", options.baselines),
        ("perturbation", "kedge.perturbations", options.perturb),
    ):
        known = catalogue(kind, group).names()
        for name in (read_spec(each).name for each in given):
            if name not in known:
                raise NotFound(f"no {kind} is called {name!r}", address=name, hint=nearest(name, known))


def _view(
    digest: str, run: str, evaluation: Evaluation, *, fresh: bool = False, seconds: float = 0.0
) -> EvaluationView:
    metrics = [result.metric for result in evaluation.results if result.answerer == "model" and not result.slice]
    worst = {metric: found for metric in metrics if (found := evaluation.worst(metric)) is not None}
    return EvaluationView(digest=digest, run=run, evaluation=evaluation, worst=worst, fresh=fresh, seconds=seconds)
