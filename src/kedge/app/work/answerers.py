"""Who is asked: a bundle in an engine of this process, or a server. Both answer from what is kept where they can."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp
from pathlib import Path
from typing import Any, Protocol

import msgspec

from kedge.app.steps.evaluate import RemoteOptions
from kedge.app.work.makers import kept, plugin_version
from kedge.config import resolve_secret
from kedge.core.bundle import Bundle
from kedge.core.errors import Failed, Invalid
from kedge.core.generation import GenerationRequest, Likelihood
from kedge.core.manifest import export_files
from kedge.core.ports import BlobStore, Engine, Progress
from kedge.evaluate.answer import Kept, answer
from kedge.evaluate.pose import put_examples, put_turns
from kedge.evaluate.remote import Remote, Server
from kedge.evaluate.types import Answer, Question, Scorer
from kedge.serve.engines.open import open_engine
from kedge.serve.engines.run import Answer as Said
from kedge.serve.engines.run import run

_REFUSED = ("invalid", "limited")  # errors of one request, not of the engine
_ENGINE = ("kedge.serve.decoding", "kedge.serve.engines")
_PACKAGES = ("torch", "transformers", "tokenizers")

Examples = Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted beside the text of an answer."""

    likelihood: bool = False
    confidence: bool = False
    alone: int = 0

    @classmethod
    def by(cls, scorers: Sequence[Scorer]) -> Wanted:
        """What some scorers read."""
        return cls(
            likelihood=any(scorer.likelihood for scorer in scorers),
            confidence=any(scorer.confidence for scorer in scorers),
            alone=max((scorer.alone for scorer in scorers), default=0),
        )


class Answerer(Protocol):
    """Answers questions, from memory where it can."""

    def answer(self, questions: Sequence[Question], wanted: Wanted) -> list[Answer]:
        """The answer to each question, with what is wanted beside its text."""
        ...

    def show(self, questions: Sequence[Question], examples: Examples) -> list[Question]:
        """The questions with examples before them, in the way this answerer reads them."""
        ...

    def close(self) -> None:
        """Let go of what was opened to ask."""
        ...


class Local:
    """A bundle in an engine of this process, loaded when the first question is not answered from memory."""

    def __init__(self, bundle: Bundle, folder: Callable[[], Path], memory: Kept, progress: Progress) -> None:
        self._bundle = bundle
        self._folder = folder
        self._memory = memory
        self._progress = progress

    def answer(self, questions: Sequence[Question], wanted: Wanted) -> list[Answer]:
        """The answer to each question. One that the engine cannot take is answered with nothing, which is wrong."""
        answers = answer(questions, self._ask, kept=self._memory, progress=self._progress)
        if wanted.likelihood:
            scored = self._score(questions)
            answers = [replace(one, likelihood=found) for one, found in zip(answers, scored, strict=True)]
        if wanted.confidence:
            answers = self._confide(questions, answers)
        if wanted.alone:
            timed = answer(
                questions[: wanted.alone],
                self._time,
                kept=self._memory,
                progress=self._progress,
                kind="alone",
                together=False,
            )
            answers = [
                *(replace(one, seconds=found.seconds) for one, found in zip(answers, timed, strict=False)),
                *answers[len(timed) :],
            ]
        return answers

    def show(self, questions: Sequence[Question], examples: Examples) -> list[Question]:
        """Examples and question as one prompt."""
        return put_examples(questions, examples, self._bundle)

    def close(self) -> None:
        """Free the engine, if there is one."""
        if "_engine" in self.__dict__:
            self.__dict__.pop("_engine").close()

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._bundle, self._folder())

    def _ask(self, questions: Sequence[Question]) -> list[Answer]:
        requests = [self._request(str(place), question) for place, question in enumerate(questions)]
        said = run(self._engine, requests, _Quiet(self._progress))
        return [
            _answer(question.row.id, said[request.id]) for question, request in zip(questions, requests, strict=True)
        ]

    def _time(self, questions: Sequence[Question]) -> list[Answer]:
        answers = []
        for question in questions:
            began = time.monotonic()
            said = run(self._engine, [self._request("alone", question)], _Quiet(self._progress))["alone"]
            answers.append(replace(_answer(question.row.id, said), seconds=time.monotonic() - began))
        return answers

    def _score(self, questions: Sequence[Question]) -> list[Likelihood | None]:
        def score(some: Sequence[Question]) -> list[Answer]:
            found = self._engine.score([(question.input or "", question.row.target) for question in some])
            self._progress.advance(len(some))
            return [Answer(text="", likelihood=one) for one in found]

        scored = answer(questions, score, kept=self._memory, progress=self._progress, kind="likelihood")
        return [one.likelihood for one in scored]

    def _confide(self, questions: Sequence[Question], answers: Sequence[Answer]) -> list[Answer]:
        """The probability of each answer under the model that gave it; of an empty one nothing is known."""
        given = [
            replace(question, row=replace(question.row, target=one.text))
            for question, one in zip(questions, answers, strict=True)
            if one.text
        ]
        scored = iter(self._score(given))
        found = (next(scored) if one.text else None for one in answers)
        return [
            replace(one, confidence=None if likely is None or not likely.tokens else exp(min(0.0, likely.logprob)))
            for one, likely in zip(answers, found, strict=True)
        ]

    def _request(self, id: str, question: Question) -> GenerationRequest:
        return GenerationRequest(
            id=id,
            sampling=self._bundle.sampling,
            input=question.input,
            prompt=question.prompt,
            messages=question.messages,
        )


class Distant:
    """A server. Each answer is kept as soon as its few neighbours are there too."""

    def __init__(self, options: RemoteOptions, root: Path, progress: Progress) -> None:
        self._options = options
        self._root = root
        self._progress = progress

    def answer(self, questions: Sequence[Question], wanted: Wanted) -> list[Answer]:
        """The answer to each question, with the time it took. `Invalid` for what no server can tell."""
        if wanted.likelihood:
            raise Invalid(
                "a server does not tell the likelihood of a text that it did not write",
                address=self._options.url,
                hint="leave perplexity out, or evaluate the bundle itself",
            )
        told = msgspec.to_builtins(self._options)
        facts = {name: told[name] for name in ("url", "model", "api", "sampling", "extra", "revision")}
        memory = kept(self._root, server=facts, confidence=wanted.confidence)
        options = self._options
        secret = resolve_secret(options.key, root=self._root) if options.key else ""
        server = Server(
            url=options.url,
            model=options.model,
            secret=secret,
            api=options.api,
            concurrency=options.concurrency,
            tries=options.tries,
            timeout=options.timeout,
            extra=options.extra,
        )
        with Remote(server, options.sampling, confidence=wanted.confidence) as remote:
            answers = answer(
                questions,
                lambda some: remote.ask(some, self._progress),
                kept=memory,
                progress=self._progress,
                at_once=4 * options.concurrency,
                together=False,
            )
        _check_some(answers, options.url)
        return answers

    def show(self, questions: Sequence[Question], examples: Examples) -> list[Question]:
        """Examples as earlier turns."""
        return put_turns(questions, examples)

    def close(self) -> None:
        """Nothing stays open between two calls."""


def local(bundle: Bundle, digest: str, *, blobs: BlobStore, root: Path, workdir: Path, progress: Progress) -> Local:
    """The answerer for a bundle on record."""

    def folder() -> Path:
        export_files(blobs, digest, workdir / "bundle", link=True)
        return workdir / "bundle"

    return _opened(bundle, folder, digest, root=root, progress=progress)


def local_folder(bundle: Bundle, folder: Path, name: str, *, root: Path, progress: Progress) -> Local:
    """The answerer for a model in a folder; `name` stands for all that is in it."""
    return _opened(bundle, lambda: folder, name, root=root, progress=progress)


@contextmanager
def closing(answerer: Answerer) -> Iterator[Answerer]:
    """Close it, however it ends."""
    try:
        yield answerer
    finally:
        answerer.close()


def _opened(bundle: Bundle, folder: Callable[[], Path], name: str, *, root: Path, progress: Progress) -> Local:
    memory = kept(
        root,
        code=_ENGINE,
        packages=_PACKAGES,
        answerer=name,
        bundle=msgspec.to_builtins(bundle),
        engine=plugin_version("kedge.engines", bundle.engine.name),
    )
    return Local(bundle, folder, memory, progress)


def _answer(row: str, said: Said) -> Answer:
    if said.finish == "error" and said.error_code not in _REFUSED:
        raise Failed(f"the engine could not answer row {row}: {said.error}", address=row)
    return Answer(
        text=said.text,
        finish=said.finish,
        tokens=said.completion_tokens,
        error=said.error,
        prompt_tokens=said.prompt_tokens,
    )


def _check_some(answers: Sequence[Answer], url: str) -> None:
    """A server that minds every single request is being asked wrongly."""
    if answers and all(one.error for one in answers):
        raise Invalid(f"{url} refused every case: {answers[0].error}", address=url)


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
