"""Drives an engine over many requests at once, for evaluation and batch work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kedge.core.errors import Broken, Failed
from kedge.core.generation import Finish, GenerationEvent, GenerationRequest
from kedge.core.ports import Engine, Progress, Silent

_IDLE_STEPS = 10_000  # a step may yield nothing (half a character), but not this many in a row


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request's whole answer. With finish `error`, `error` says why and `text` is what there was until then."""

    text: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    error: str = ""
    error_code: str = ""


def run(engine: Engine, requests: Sequence[GenerationRequest], progress: Progress | None = None) -> dict[str, Answer]:
    """The answer to each request by its id. Requests of like length are decoded together, whatever their order."""
    told = progress or Silent()
    told.start(len(requests), "answering")
    for request in sorted(requests, key=_length):
        engine.submit(request)
    texts: dict[str, list[str]] = {request.id: [] for request in requests}
    answers: dict[str, Answer] = {}
    idle = 0
    while len(answers) < len(texts):
        events = engine.step()
        idle = 0 if events else idle + 1
        if idle > _IDLE_STEPS:
            raise Broken("the engine no longer says anything, and not every request is answered")
        for event in events:
            texts[event.id].append(event.text)
            if event.finish:
                answers[event.id] = _answer("".join(texts[event.id]), event)
                told.advance()
    return answers


def generate(engine: Engine, requests: Sequence[GenerationRequest], progress: Progress | None = None) -> dict[str, str]:
    """The text of each answer by the request's id; `Failed` names the first request that could not be answered."""
    answers = run(engine, requests, progress)
    for asked, answer in answers.items():
        if answer.finish == "error":
            raise Failed(f"request {asked} could not be answered: {answer.error}", address=asked)
    return {request.id: answers[request.id].text for request in requests}


def _length(request: GenerationRequest) -> int:
    if request.messages is not None:
        return sum(len(message.get("content", "")) for message in request.messages)
    return len(request.prompt or request.input or "")


def _answer(text: str, last: GenerationEvent) -> Answer:
    return Answer(
        text=text,
        finish=last.finish,
        prompt_tokens=last.prompt_tokens,
        completion_tokens=last.completion_tokens,
        error=last.error,
        error_code=last.error_code,
    )
