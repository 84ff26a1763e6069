"""The work of step `harness`: lm-evaluation-harness builds the requests and scores them, our engine answers."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate as run_tasks
from lm_eval.tasks import TaskManager

from kedge.app.steps.harness import HarnessOptions
from kedge.core.bundle import Sampling
from kedge.core.errors import Failed, Invalid
from kedge.core.generation import GenerationEvent, GenerationRequest, TokenChoice
from kedge.core.manifest import export_files
from kedge.core.ports import Engine, Progress
from kedge.core.step import StepContext, StepResult
from kedge.evaluate.importers.lm_eval import from_samples
from kedge.evaluate.importers.types import as_report
from kedge.evaluate.report import write_evaluation
from kedge.registry.bundle import read_bundle
from kedge.serve.engines.open import open_engine

_LONGEST = 256  # tokens of an answer, where a task does not say
_SEED = 1234


def work(context: StepContext, options: HarnessOptions) -> StepResult:
    """Run the tasks and keep every case's scores."""
    bundle = context.inputs["bundle"].digest
    folder = context.workdir / "bundle"
    export_files(context.blobs, bundle, folder, link=True)
    tasks = _load(context, options)
    engine = open_engine(read_bundle(context.blobs, bundle), folder)
    try:
        found = run_tasks(
            lm=EngineLM(engine, context.progress),
            task_dict=tasks,
            limit=options.limit or None,
            bootstrap_iters=0,
            log_samples=True,
        )
    finally:
        engine.close()
    foreign = from_samples(found["samples"], {**found, "config": {"model": "kedge"}})
    report = as_report(replace(foreign, bundle=bundle))
    whole = [result for result in report.evaluation.results if not result.slice]
    metrics = {result.metric.replace(",", "."): result.interval.value for result in whole}
    return StepResult(
        outputs={"evaluation": write_evaluation(context.blobs, report)},
        metrics={**metrics, "cases": float(report.evaluation.cases)},
    )


def _load(context: StepContext, options: HarnessOptions) -> Any:
    """The tasks, with the seeds that the harness's own command sets."""
    random.seed(0)
    np.random.seed(_SEED)  # the harness draws from it
    include = str((context.root / options.include).resolve()) if options.include else None
    context.progress.start(None, "reading tasks")
    manager = TaskManager(include_path=include, include_defaults=include is None)
    unknown = _unknown(manager, options)
    if unknown and include is not None:  # the harness' own thousands are read only where one of them is meant
        manager = TaskManager(include_path=include)
        unknown = _unknown(manager, options)
    if unknown:
        raise Invalid(
            f"lm-evaluation-harness has no task {unknown[0]!r}",
            address=unknown[0],
            hint="lm_eval ls tasks shows them; --include names a folder with tasks of your own",
        )
    loaded = manager.load(list(options.tasks))
    for task in loaded["tasks"].values():
        if options.shots is not None and task.get_config("num_fewshot") != 0:
            task.set_config(key="num_fewshot", value=options.shots)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=_SEED)
    return loaded


def _unknown(manager: Any, options: HarnessOptions) -> list[str]:
    return [task for task in options.tasks if not manager.match_tasks([task]) and not task.endswith(".yaml")]


class EngineLM(LM):  # type: ignore[misc]  # the harness is not typed
    """An engine of ours as a model of the harness: prompts go in as they are, without the bundle's template."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        super().__init__()
        self._engine = engine
        self._progress = progress

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """The log-probability of each continuation, and whether it is what greedy decoding gives."""
        pairs = [_divide(*request.args) for request in requests]
        contexts = {context for context, _ in pairs}
        if "" in contexts:
            raise Invalid(
                "a task asks for the likelihood of a text without a context, which this engine cannot tell",
                hint="kedge's own scorer perplexity measures likelihood",
            )
        whole = [context + continuation for context, continuation in pairs]
        lengths = self._read({*contexts, *whole}, logprobs=None)
        told = self._read(set(whole), logprobs=1)
        found = []
        for (context, _), text in zip(pairs, whole, strict=True):
            count = _last(lengths[text]).prompt_tokens - _last(lengths[context]).prompt_tokens
            found.append(_sum(_tokens(told[text]), count))
        return found

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The text of each answer, up to the first of its stop texts."""
        asked = [self._request(str(place), *request.args) for place, request in enumerate(requests)]
        said = self._run(asked, "answering")
        return ["".join(event.text for event in said[request.id]) for request in asked]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Not offered: an engine does not tell the probability of a text's first token."""
        raise Invalid(
            "tasks that measure perplexity over whole texts are not run",
            hint="kedge's own scorer perplexity measures the likelihood of targets",
        )

    def _request(self, id: str, prompt: str, given: dict[str, Any]) -> GenerationRequest:
        stop = given.get("until") or []
        sampled = bool(given.get("do_sample")) and given.get("temperature", 1.0) > 0
        sampling = Sampling(
            temperature=float(given.get("temperature", 1.0)) if sampled else 0.0,
            top_p=float(given.get("top_p", 1.0)) if sampled else 1.0,
            max_tokens=int(given.get("max_gen_toks", _LONGEST)),
            stop=tuple([stop] if isinstance(stop, str) else filter(None, stop)),
        )
        return GenerationRequest(id=id, sampling=sampling, prompt=prompt)

    def _read(self, texts: Iterable[str], *, logprobs: int | None) -> dict[str, list[GenerationEvent]]:
        """What the engine says of texts that it only reads."""
        sampling = Sampling(max_tokens=0)
        listed = sorted(texts)
        requests = [
            GenerationRequest(id=str(place), sampling=sampling, prompt=text, echo=True, logprobs=logprobs)
            for place, text in enumerate(listed)
        ]
        said = self._run(requests, "reading")
        return {text: said[str(place)] for place, text in enumerate(listed)}

    def _run(self, requests: Sequence[GenerationRequest], label: str) -> dict[str, list[GenerationEvent]]:
        self._progress.start(len(requests), label)
        said: dict[str, list[GenerationEvent]] = {request.id: [] for request in requests}
        for request in sorted(requests, key=lambda each: len(each.prompt or "")):
            self._engine.submit(request)
        waiting = len(requests)
        while waiting:
            for event in self._engine.step():
                said[event.id].append(event)
                if event.finish == "error":
                    raise Failed(f"the engine could not answer a request of the harness: {event.error}")
                if event.finish:
                    waiting -= 1
                    self._progress.advance()
        return said


def _divide(context: str, continuation: str) -> tuple[str, str]:
    """White space at the end of a context belongs to what follows, as in the harness's own models."""
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def _last(events: Sequence[GenerationEvent]) -> GenerationEvent:
    return events[-1]


def _tokens(events: Sequence[GenerationEvent]) -> list[TokenChoice]:
    return [token for event in events for token in event.tokens]


def _sum(tokens: Sequence[TokenChoice], count: int) -> tuple[float, bool]:
    """Over the last `count` tokens."""
    ours = tokens[len(tokens) - count :] if count else []
    greedy = all(token.logprob is not None and token.logprob >= token.top[0][1] for token in ours if token.top)
    return sum(token.logprob or 0.0 for token in ours), greedy
