"""Lets requests in: renders and tokenises them together, and refuses what does not fit the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kedge.core.errors import Invalid
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.serve.decoding.choice import choice_of
from kedge.serve.decoding.pieces import Pieces
from kedge.serve.decoding.render import Renderer
from kedge.serve.decoding.row import Obeyed, Row
from kedge.serve.decoding.tokens import Tokens

_CHEAP = 50_000  # characters that are tokenised without a second thought


class Admission:
    """Turns requests into rows, or into the one event that says why not.

    `can` is what the engine can beyond plain text, in the words of `EngineFacts.can`; `obey` makes the schema of a row,
    and each row goes through `adapter`.
    """

    def __init__(
        self,
        renderer: Renderer,
        tokens: Tokens,
        *,
        context: int,
        can: frozenset[str] = frozenset(),
        obey: Callable[[str], Obeyed] | None = None,
        adapter: int = 0,
    ) -> None:
        self._renderer = renderer
        self._tokens = tokens
        self._context = context
        self._can = can
        self._obey = obey
        self._adapter = adapter

    def admit(self, requests: Sequence[GenerationRequest]) -> tuple[list[Row], list[GenerationEvent]]:
        """The rows of what is let in, in order, and the last events of the rest."""
        prompts: dict[str, list[int]] = {}
        events: list[GenerationEvent] = []
        texts: dict[bool, list[tuple[GenerationRequest, str]]] = {True: [], False: []}
        for request in requests:
            try:
                self._check_needs(request)
                rendered = self._renderer.render(request)
                self._check_length(rendered.text, request)
                if request.tokens is not None:
                    prompts[request.id] = self._known(request.tokens)
                elif rendered.literals:
                    prompts[request.id] = self._tokens.encode_around(
                        rendered.text, rendered.literals, special=rendered.special
                    )
                else:
                    texts[rendered.special].append((request, rendered.text))
            except Invalid as error:
                events.append(refusal(request, error.message))
        for special, asked in texts.items():
            encoded = self._tokens.encode([text for _, text in asked], special=special)
            prompts.update((request.id, prompt) for (request, _), prompt in zip(asked, encoded, strict=True))
        rows: list[Row] = []
        for request in requests:
            if request.id in prompts:
                entered = self._enter(request, prompts[request.id] or self._tokens.beginning)
                if isinstance(entered, Row):
                    rows.append(entered)
                else:
                    events.append(entered)
        return rows, events

    def _check_needs(self, request: GenerationRequest) -> None:
        cannot = sorted(request.needs.difference(self._can))
        if cannot:
            raise Invalid(f"this engine cannot do it: {', '.join(cannot)}")
        if request.penalties is not None:
            self._known(list(request.penalties.bias))

    def _known(self, tokens: Sequence[int]) -> list[int]:
        """The same tokens, all of which the model has."""
        if any(not 0 <= token < self._tokens.size for token in tokens):
            raise Invalid(f"a token is not one of the model, which has {self._tokens.size}")
        return list(tokens)

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
        if room <= 0 and not (request.echo or request.embed):
            return GenerationEvent(id=request.id, finish="length", prompt_tokens=len(prompt))
        try:
            schema = self._obey(request.schema) if request.schema and self._obey is not None else None
        except Invalid as error:
            return refusal(request, error.message)
        pieces = Pieces(self._tokens.decode, request.sampling.stop)
        choice = choice_of(request.sampling)
        return Row(
            request=request,
            prompt=prompt,
            pieces=pieces,
            choice=choice,
            room=room,
            schema=schema,
            adapter=self._adapter,
        )


def refusal(request: GenerationRequest, reason: str, *, prompt_tokens: int = 0) -> GenerationEvent:
    """The only event of a request that is not let in."""
    return GenerationEvent(
        id=request.id, finish="error", error=reason, error_code="invalid", prompt_tokens=prompt_tokens
    )


def _too_long(tokens: str, limit: int) -> str:
    return f"the prompt has {tokens} tokens, at most {limit} fit with room for an answer"
