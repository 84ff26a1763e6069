"""The work of step `evaluate`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

from kedge.app.steps.evaluate import EvaluateOptions, read_spec
from kedge.app.work.answerers import Answerer, Distant, Wanted, closing, local
from kedge.app.work.makers import kept, make, make_means, make_scorers, plugin_version
from kedge.core.dataset import Split
from kedge.core.errors import Invalid
from kedge.core.evaluation import Evaluation
from kedge.core.hashing import digest_of
from kedge.core.step import StepContext, StepResult
from kedge.data.read import read_dataset, read_placed, read_rows
from kedge.evaluate.answer import answer
from kedge.evaluate.choose import choose
from kedge.evaluate.pose import Known, change, choose_examples, pose
from kedge.evaluate.report import write_evaluation
from kedge.evaluate.run import CHANGED, Task, evaluate
from kedge.evaluate.slices import slicer
from kedge.evaluate.types import MODEL, Answer, Baseline, Question
from kedge.plugins import catalogue
from kedge.registry.bundle import read_bundle

_SHOWN = 4  # examples, where a base model is asked and nothing else was said


def work(context: StepContext, options: EvaluateOptions) -> StepResult:
    """Ask the baselines and the model the same cases, and score them all."""
    dataset = context.inputs["dataset"].digest
    rows = choose(read_rows(context.blobs, dataset, options.split), options.cases)
    questions = pose(rows, options.prompt)
    scorers = make_scorers(options.scorers, make_means(context.root, context.progress))
    bundle = context.inputs.get("bundle")
    remote = options.remote
    task = Task(
        bundle=bundle.digest if bundle and not remote else "",
        dataset=dataset,
        rows=rows,
        scorers=scorers,
        slicer=slicer(rows, options.slices),
        subject=f"{remote.url} {remote.model}" if remote else "",
    )
    answers = _baselines(context, options, questions)
    with closing(_answerer(context, options)) as answerer:
        answers[MODEL] = answerer.answer(questions, Wanted.by(scorers))
        answers |= _changed(options, answerer, questions)
        answers |= _shown(context, options, answerer, questions)
    report = evaluate(task, answers)
    return StepResult(
        outputs={"evaluation": write_evaluation(context.blobs, report)}, metrics=_headline(report.evaluation)
    )


def _answerer(context: StepContext, options: EvaluateOptions) -> Answerer:
    if options.remote is not None:
        return Distant(options.remote, context.root, context.progress)
    if "bundle" not in context.inputs:
        raise Invalid(
            "there is nothing to evaluate: no stage before this one makes a bundle, and no server is named",
            hint='add a bundle stage, or remote = { url = "http://127.0.0.1:8000/v1", model = "..." }',
        )
    digest = context.inputs["bundle"].digest
    return local(
        read_bundle(context.blobs, digest),
        digest,
        blobs=context.blobs,
        root=context.root,
        workdir=context.workdir,
        progress=context.progress,
    )


def _baselines(
    context: StepContext, options: EvaluateOptions, questions: Sequence[Question]
) -> dict[str, Sequence[Answer]]:
    answers: dict[str, Sequence[Answer]] = {}
    dataset = context.inputs["dataset"].digest
    for given in options.baselines:
        spec = read_spec(given)
        if spec.name in answers or spec.name == MODEL:
            raise Invalid(f"a baseline is named twice or like the model: {spec.name}")
        baseline: Baseline = make(catalogue("baseline", "kedge.baselines"), spec)
        memory = kept(
            context.root,
            code=("kedge.evaluate.baselines",),
            packages=("numpy", "scikit-learn"),
            baseline=spec.digest,
            package=plugin_version("kedge.baselines", spec.name),
            dataset=dataset,
        )

        def ask(some: Sequence[Question], baseline: Baseline = baseline) -> list[Answer]:
            known = list(read_rows(context.blobs, dataset, Split.TRAIN))
            said = [Answer(text=text) for text in baseline(known, [question.row.input for question in some])]
            context.progress.advance(len(said))
            return said

        answers[spec.name] = answer(
            questions, ask, kept=memory, progress=context.progress, at_once=max(1, len(questions))
        )
    return answers


def _changed(
    options: EvaluateOptions, answerer: Answerer, questions: Sequence[Question]
) -> dict[str, Sequence[Answer]]:
    """The model's answers to changed inputs."""
    answers: dict[str, Sequence[Answer]] = {}
    for given in options.perturb:
        spec = read_spec(given)
        name = f"{MODEL}{CHANGED}{spec.name}"
        name = f"{name}-{digest_of(dict(spec.args))[7:11]}" if name in answers else name
        perturbation = make(catalogue("perturbation", "kedge.perturbations"), spec)
        answers[name] = answerer.answer(change(questions, perturbation, seed=str(options.seed)), Wanted())
    return answers


def _shown(
    context: StepContext, options: EvaluateOptions, answerer: Answerer, questions: Sequence[Question]
) -> dict[str, Sequence[Answer]]:
    """What the base model says, or the model itself, with no examples and with some."""
    base = None if options.remote else _base(context)
    shots = options.shots if options.shots is not None else (0, _SHOWN) if base else ()
    if not shots:
        return {}
    if 0 in shots and base is None:
        raise Invalid(
            "zero_shot would be the model itself: it has no base model",
            address="shots",
            hint="leave 0 out of shots",
        )
    answers: dict[str, Sequence[Answer]] = {}
    with closing(_open_base(context, base)) if base else closing(answerer) as asked:
        for number in shots:
            examples = _examples(context, options, questions, number)
            name = f"few_shot_{number}" if number else "zero_shot"
            answers[name] = asked.answer(asked.show(questions, examples), Wanted())
    return answers


def _examples(
    context: StepContext, options: EvaluateOptions, questions: Sequence[Question], shots: int
) -> list[list[tuple[str, str]]]:
    if not shots:
        return [[] for _ in questions]
    manifest = read_dataset(context.blobs, context.inputs["dataset"].digest)
    clusters: dict[str, str] = {}
    known: list[Known] = []
    wanted = {question.row.id for question in questions}
    for _, placed in read_placed(context.blobs, manifest):
        if placed.split is Split.TRAIN:
            known.append(Known(row=placed.row, cluster=placed.cluster))
        elif placed.row.id in wanted:
            clusters[placed.row.id] = placed.cluster
    chosen = choose_examples(
        [question.row for question in questions],
        known,
        shots=shots,
        cluster=lambda row: clusters.get(row.id, row.id),
        apart=_apart(manifest.recipe),
        seed=options.seed,
    )
    texts = {
        row.id: posed.input or ""
        for rows in chosen
        for row, posed in zip(rows, pose(rows, options.prompt), strict=True)
    }
    return [[(texts[row.id], row.target) for row in rows] for rows in chosen]


def _apart(recipe: Mapping[str, object]) -> list[str]:
    """The columns whose values the dataset's split kept apart."""
    split = recipe.get("split")
    if not isinstance(split, Mapping):
        return []
    return [tag for tag in (split.get("group"), *(split.get("unseen") or ())) if tag]


def _base(context: StepContext) -> Mapping[str, object] | None:
    """The run that trained the model, if it began with a base model."""
    runs = [run for run in context.facts.get("runs", ()) if run["step"] == "train" and run["args"].get("base")]
    return runs[-1] if runs else None


def _open_base(context: StepContext, run: Mapping[str, object]) -> Answerer:
    module = importlib.import_module("kedge.app.work.base")  # by name: it loads what only a base model needs
    opened: Answerer = module.open_base(context, run, read_bundle(context.blobs, context.inputs["bundle"].digest))
    return opened


def _headline(evaluation: Evaluation) -> dict[str, float]:
    """The model's metrics over all cases, and each baseline's first metric beside them."""
    whole = [result for result in evaluation.results if not result.slice]
    metrics = {result.metric: result.interval.value for result in whole if result.answerer == MODEL}
    for result in whole:
        if result.answerer != MODEL and result.metric == evaluation.scorers[0]:
            metrics[f"{result.metric}.{result.answerer}"] = result.interval.value
    return {**metrics, "cases": float(evaluation.cases)}
