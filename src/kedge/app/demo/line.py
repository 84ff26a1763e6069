"""The demo, act by act: haul, promote, serve, ask, trace, refuse, override, take back."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import msgspec

from kedge.app import keys, models, runs
from kedge.app.demo.clients import Caller, Load
from kedge.app.demo.endpoint import served, wait_for
from kedge.app.demo.report import store, stored
from kedge.app.demo.types import Answer, DemoReport, Say, Watch
from kedge.app.project import FILE, Project, open_project
from kedge.app.trace import trace
from kedge.core.access import Scope
from kedge.core.dataset import Row, Split
from kedge.core.errors import Broken, NotFound, Refused, Unavailable
from kedge.core.evaluation import Evaluation, MetricResult, Outcome
from kedge.core.manifest import read_config
from kedge.core.model import ModelVersion
from kedge.core.ports import Progress
from kedge.data.read import read_rows

MODEL = "schemas"
ALIAS = "production"
CLIENTS = 4
ANSWERS = 20  # seen from each bundle before the demo goes on
PATIENCE = 60.0  # seconds to see them
TEMPLATE = Path(__file__).with_name("kedge.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hauled:
    """A model carried from text to the registry, and what its evaluation and its gate said."""

    version: ModelVersion
    evaluation: Evaluation
    outcome: Outcome


def demo(folder: Path, *, say: Say, progress: Progress, port: int = 0, keep_serving: bool = False) -> DemoReport:
    """Carry a model from the standard library's source to a watched endpoint, and take a worse one back.

    Killed at any moment it can be run again and goes on where it was; run again after its end it does nothing.
    """
    begun = time.monotonic()
    project = _project(folder)
    try:
        before = stored(project.state)
        if before is not None:
            return replace(before, repeated=True)
        report = _acts(project, say, progress, port=port, keep=keep_serving)
        report = replace(report, seconds=round(time.monotonic() - begun, 1))
        store(project.state, replace(report, url="", key=""))
        return report
    finally:
        project.close()


def _project(folder: Path) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).exists():
        shutil.copyfile(TEMPLATE, folder / FILE)
    return open_project(folder)


def _acts(project: Project, say: Say, progress: Progress, *, port: int, keep: bool) -> DemoReport:
    good = _haul(project, say, progress)
    _promote(project, good, say)
    rows = _held_out(project, good)
    created = keys.create(project, "demo", scopes=(Scope.ASK, Scope.METRICS))
    with served(project, MODEL, port=port, keep=keep) as endpoint:
        wait_for(project, MODEL, good.version.bundle)
        say("serve", f"{endpoint.url} speaks the OpenAI API; the key is shown once and kept only as a hash")
        caller = Caller(endpoint.url, created.secret, MODEL)
        try:
            answers = tuple(caller.ask(row) for row in rows[:3])
            chain = _walk(project, answers, say)
            refused, watch = _worse(project, good, caller, rows, say=say, progress=progress)
        finally:
            caller.close()
    exact = _exact(good.evaluation, "model")
    baselines = {name: _exact(good.evaluation, name).interval.value for name in good.evaluation.baselines}
    return DemoReport(
        accuracy=exact.interval.value,
        accuracy_interval=(exact.interval.low, exact.interval.high),
        baseline=max(baselines.values()),
        baselines=baselines,
        verdict=good.outcome,
        bundle=good.version.bundle,
        receipt=answers[0].receipt,
        trace=chain,
        refused=refused,
        rolled_back_to=good.version.bundle,
        requests=watch.requests,
        failed_requests=watch.failed,
        seconds=0.0,
        folder=str(project.root),
        figures=_figures(good.evaluation),
        answers=answers,
        url=endpoint.url if keep else "",
        key=created.secret if keep else "",
    )


def _haul(project: Project, say: Say, progress: Progress, *, sets: tuple[str, ...] = ()) -> Hauled:
    result = runs.run(project, sets=sets, progress=progress)
    bundle = result.outputs["bundle"]["bundle"]
    evaluation = msgspec.convert(read_config(project.blobs, result.outputs["evaluate"]["evaluation"]), Evaluation)
    version = next(v for v in project.ledger.models.versions(MODEL) if v.bundle == bundle)
    verdict = project.ledger.verdicts.about(bundle)[-1]
    exact = _exact(evaluation, "model").interval
    say(
        "gate",
        f"{version.address}: {exact.value:.3f} exact [{exact.low:.3f}, {exact.high:.3f}] on {evaluation.cases} functions "
        f"whose names were never seen in training; verdict: {verdict.outcome}",
    )
    return Hauled(version=version, evaluation=evaluation, outcome=verdict.outcome)


def _promote(project: Project, good: Hauled, say: Say) -> None:
    models.promote(project, good.version.address, ALIAS)
    say(
        "promote",
        f"{good.version.address} is {MODEL}@{ALIAS}, because the verdict on {good.version.bundle[:19]} is pass",
    )


def _held_out(project: Project, good: Hauled) -> list[Row]:
    rows = list(islice(read_rows(project.blobs, good.evaluation.dataset, Split.TEST), 64))
    if len(rows) < 3:
        raise NotFound("the dataset has fewer than 3 held-out rows", hint="raise the share of the test split")
    return sorted(rows, key=lambda row: row.id)


def _walk(project: Project, answers: tuple[Answer, ...], say: Say) -> dict[str, object]:
    for answer in answers:
        say("ask", f"{answer.header}  ->  {answer.answer}  ({'right' if answer.right else 'wrong: ' + answer.truth})")
    chain: dict[str, object] = msgspec.to_builtins(trace(project, answers[0].receipt))
    say("trace", f"kedge trace {answers[0].receipt[:37]}... walks back to the rows it learned from")
    return chain


def _worse(
    project: Project, good: Hauled, caller: Caller, rows: list[Row], *, say: Say, progress: Progress
) -> tuple[str, Watch]:
    steps = int(project.config.stages["train"].options["steps"]) // 10
    say("refuse", f"now a worse model: the same line with {steps} training steps, a tenth")
    worse = _haul(project, say, progress, sets=(f"stages.train.steps={steps}",))
    refused = _refusal(project, worse)
    say("refuse", refused)
    load = Load(caller, rows)
    with load.running(CLIENTS):
        _see(load, good.version.bundle)
        models.promote(project, worse.version.address, ALIAS, override="demo: show that taking back works")
        wait_for(project, MODEL, worse.version.bundle)
        _see(load, worse.version.bundle)
        say("override", f"{worse.version.address} was forced into {ALIAS}; the reason stands in the audit chain")
        models.rollback(project, f"{MODEL}@{ALIAS}", reason="demo: the forced model is worse")
        seconds = wait_for(project, MODEL, good.version.bundle)
        _see(load, good.version.bundle)
    watch = load.watch()
    say(
        "take back",
        f"back to exactly {good.version.bundle[:19]} in {seconds:.2f} s; {watch.requests} requests in flight, "
        f"{watch.failed} failed",
    )
    return refused, watch


def _refusal(project: Project, worse: Hauled) -> str:
    try:
        models.promote(project, worse.version.address, ALIAS)
    except Refused as refusal:
        return refusal.message
    raise Broken(f"{worse.version.address} was promoted although its verdict is {worse.outcome}")


def _see(load: Load, bundle: str) -> None:
    """Wait for some more answers from a bundle, so that the watch covers it."""
    wanted = load.answered_by(bundle) + ANSWERS
    deadline = time.monotonic() + PATIENCE
    while load.answered_by(bundle) < wanted:
        if time.monotonic() > deadline:
            errors = load.watch().errors
            raise Unavailable(f"{bundle[:19]} does not answer", hint=errors[-1] if errors else "see .kedge/serve.log")
        time.sleep(0.02)


def _exact(evaluation: Evaluation, answerer: str) -> MetricResult:
    found = evaluation.find("exact_match", answerer=answerer)
    if found is None:
        raise Broken(f"the evaluation has no exact_match of {answerer!r}")
    return found


def _figures(evaluation: Evaluation) -> dict[str, float]:
    return {
        f"{result.metric}{f' [{result.slice}]' if result.slice else ''}": round(result.interval.value, 4)
        for result in evaluation.results
        if result.answerer == "model"
    }
