"""Lets requests in: renders and tokenises them together, and refuses what does not fit the context."""

from __future__ import annotations

from collections.abc import Sequence

from kedge.core.errors import Invalid
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.serve.decoding.choice import choice_of
from kedge.serve.decoding.pieces import Pieces
from kedge.serve.decoding.render import Renderer
from kedge.serve.decoding.row import Row
from kedge.serve.decoding.tokens import Tokens

_CHEAP = 50_000  # characters that are tokenised without a second thought


class Admission:
    """Turns requests into rows, or into the one event that says why not."""

    def __init__(self, renderer: Renderer, tokens: Tokens, *, context: int) -> None:
        self._renderer = renderer
        self._tokens = tokens
        self._context = context

    def admit(self, requests: Sequence[GenerationRequest]) -> tuple[list[Row], list[GenerationEvent]]:
        """The rows of what is let in, in order, and the last events of the rest."""
        rows: dict[str, Row] = {}
        events: list[GenerationEvent] = []
        texts: dict[bool, list[tuple[GenerationRequest, str]]] = {True: [], False: []}
        for request in requests:
            try:
                rendered = self._renderer.render(request)
                self._check_length(rendered.text, request)
                texts[rendered.special].append((request, rendered.text))
            except Invalid as error:
                events.append(refusal(request, error.message))
        for special, asked in texts.items():
            prompts = self._tokens.encode([text for _, text in asked], special=special)
            for (request, _), prompt in zip(asked, prompts, strict=True):
                entered = self._enter(request, prompt or self._tokens.beginning)
                if isinstance(entered, Row):
                    rows[request.id] = entered
                else:
                    events.append(entered)
        return [rows[request.id] for request in requests if request.id in rows], events

    def _check_length(self, text: str, request: GenerationRequest) -> None:
        """Refuse what cannot fit however it is tokenised, before time is spent on it."""
        limit = self._limit(request)
        if limit and len(text) > max(_CHEAP, limit * self._tokens.longest):
            raise Invalid(_too_long(f"at least {len(text) // self._tokens.longest}", limit))

    def _limit(self, request: GenerationRequest) -> int:
        """The longest prompt for this request: an answer needs room for one token at least (0: no limit)."""
        return min(filter(None, (request.prompt_limit, self._context and self._context - 1)), default=0)

    def _enter(self, request: GenerationRequest, prompt: list[int]) -> Row | GenerationEvent:
        limit = self._limit(request)
        if limit and len(prompt) > limit:
            return refusal(request, _too_long(str(len(prompt)), limit), prompt_tokens=len(prompt))
        room = request.sampling.max_tokens
        if self._context:
            room = min(room, self._context - len(prompt))
        if room <= 0:
            return GenerationEvent(id=request.id, finish="length", prompt_tokens=len(prompt))
        pieces = Pieces(self._tokens.decode, request.sampling.stop)
        return Row(request=request, prompt=prompt, pieces=pieces, choice=choice_of(request.sampling), room=room)


def refusal(request: GenerationRequest, reason: str, *, prompt_tokens: int = 0) -> GenerationEvent:
    """The only event of a request that is not let in."""
    return GenerationEvent(
        id=request.id, finish="error", error=reason, error_code="invalid", prompt_tokens=prompt_tokens
    )


def _too_long(tokens: str, limit: int) -> str:
    return f"the prompt has {tokens} tokens, at most {limit} fit with room for an answer"
