"""The work of step `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kedge.app.steps.evaluate import EvaluateOptions
from kedge.core.bundle import Bundle
from kedge.core.catalogue import Catalogue
from kedge.core.dataset import Row, Split
from kedge.core.errors import Failed, Invalid
from kedge.core.evaluation import Evaluation
from kedge.core.generation import GenerationRequest
from kedge.core.manifest import export_files
from kedge.core.ports import Engine, Progress
from kedge.core.spec import Spec
from kedge.core.step import StepContext, StepResult
from kedge.data.read import read_rows
from kedge.evaluate.answer import Ask, answer
from kedge.evaluate.choose import choose
from kedge.evaluate.report import write_evaluation
from kedge.evaluate.run import Task, evaluate
from kedge.evaluate.slices import slicer
from kedge.evaluate.types import MODEL, Answer, Baseline, Scorer
from kedge.plugins import catalogue
from kedge.registry.bundle import read_bundle
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.run import run

_REFUSED = ("invalid", "limited")  # errors of one request, not of the engine


def work(context: StepContext, options: EvaluateOptions) -> StepResult:
    """Ask the baselines and the bundle the same cases, and score them all."""
    dataset = context.inputs["dataset"].digest
    rows = choose(read_rows(context.blobs, dataset, options.split), options.cases)
    scorers = [_make(catalogue("scorer", "kedge.scorers"), spec, Scorer) for spec in options.scorers]
    task = Task(
        bundle=context.inputs["bundle"].digest,
        dataset=dataset,
        rows=rows,
        scorers=scorers,
        slicer=slicer(rows, options.slices),
    )
    answers = {**_baselines(context, options, rows), MODEL: _ask_model(context, task)}
    report = evaluate(task, answers)
    return StepResult(
        outputs={"evaluation": write_evaluation(context.blobs, report)}, metrics=_headline(report.evaluation)
    )


def _baselines(context: StepContext, options: EvaluateOptions, rows: Sequence[Row]) -> dict[str, list[Answer]]:
    if not options.baselines:
        return {}
    known = list(read_rows(context.blobs, context.inputs["dataset"].digest, Split.TRAIN))
    inputs = [row.input for row in rows]
    answers: dict[str, list[Answer]] = {}
    context.progress.start(len(options.baselines), "baselines")
    for spec in options.baselines:
        name = spec if isinstance(spec, str) else spec.name
        if name in answers or name == MODEL:
            raise Invalid(f"a baseline is named twice or like the model: {name}")
        baseline: Baseline = _make(catalogue("baseline", "kedge.baselines"), spec, None)
        answers[name] = [Answer(text=text) for text in baseline(known, inputs)]
        context.progress.advance()
    return answers


def _ask_model(context: StepContext, task: Task) -> list[Answer]:
    bundle = read_bundle(context.blobs, task.bundle)
    folder = context.workdir / "bundle"
    export_files(context.blobs, task.bundle, folder)
    engine = open_engine(bundle, folder)
    try:
        likelihood = any(scorer.likelihood for scorer in task.scorers)
        ask = _asking(engine, bundle, likelihood=likelihood, progress=context.progress)
        return answer(task.rows, ask, kept=context.workdir / "answers.jsonl", progress=context.progress)
    finally:
        engine.close()


def _asking(engine: Engine, bundle: Bundle, *, likelihood: bool, progress: Progress) -> Ask:
    """A function that asks the engine some rows. A row that it cannot take is answered with nothing, which is wrong."""

    def ask(rows: Sequence[Row]) -> list[Answer]:
        requests = [GenerationRequest(id=row.id, sampling=bundle.sampling, input=row.input) for row in rows]
        said = run(engine, requests, _Quiet(progress))
        likely = engine.score([(row.input, row.target) for row in rows]) if likelihood else [None] * len(rows)
        answers = []
        for row, known in zip(rows, likely, strict=True):
            one = said[row.id]
            if one.finish == "error" and one.error_code not in _REFUSED:
                raise Failed(f"the engine could not answer row {row.id}: {one.error}", address=row.id)
            answers.append(
                Answer(
                    text=one.text, finish=one.finish, tokens=one.completion_tokens, error=one.error, likelihood=known
                )
            )
        return answers

    return ask


class _Quiet:
    """Passes on how many are done, but starts no task of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, total: int | None, label: str) -> None:
        """Nothing: the task has begun already."""

    def advance(self, n: int = 1) -> None:
        """`n` more are done."""
        self._progress.advance(n)

    def note(self, **facts: Any) -> None:
        """Facts beside the bar."""
        self._progress.note(**facts)


def _make(known: Catalogue[Callable[..., Any]], spec: str | Spec, kind: type[Any] | None) -> Any:
    """The scorer or baseline that a spec names. `NotFound` lists the names; `Invalid` for arguments it does not take."""
    named = Spec(name=spec) if isinstance(spec, str) else spec
    try:
        made = known.get(named.name)(**named.args)
    except TypeError as error:
        raise Invalid(f"{known.kind} {named.name}: {error}", address=named.name) from error
    if kind is not None and not isinstance(made, kind):
        raise Invalid(f"{known.kind} {named.name} did not make a {kind.__name__}", address=named.name)
    return made


def _headline(evaluation: Evaluation) -> dict[str, float]:
    """The model's metrics over all cases, and each baseline's first metric beside them."""
    whole = [result for result in evaluation.results if not result.slice]
    metrics = {result.metric: result.interval.value for result in whole if result.answerer == MODEL}
    for result in whole:
        if result.answerer != MODEL and result.metric == evaluation.scorers[0]:
            metrics[f"{result.metric}.{result.answerer}"] = result.interval.value
    return {**metrics, "cases": float(evaluation.cases)}
