"""POST /v1/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import msgspec

from kedge.core.access import Key
from kedge.core.generation import TokenChoice
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import CommonBody, Tops, Wish, read_body, wish_of
from kedge.serve.gateway.errors import ApiError, Header, invalid
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Head, Prompt, Said, Usage
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.words import Frame, Offsets, broken, encode, told_logprob

ROUTE = "/v1/completions"

Token = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Tokens = Annotated[list[Token], msgspec.Meta(min_length=1)]


class CompletionBody(CommonBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a completion: the prompt is read as it is, without the bundle's template."""

    prompt: str | Annotated[list[str | Token | Tokens], msgspec.Meta(min_length=1)]
    max_tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    logprobs: Tops | bool | None = None
    echo: bool | None = None
    best_of: Any = None
    suffix: Any = None


NEUTRAL: Mapping[str, Sequence[Any]] = {"best_of": (1,), "suffix": ("",)}
_decoder = msgspec.json.Decoder(CompletionBody)


class Logprobs(msgspec.Struct):
    """`logprobs` of a completion."""

    text_offset: list[int]
    token_logprobs: list[float | None]
    tokens: list[str]
    top_logprobs: list[dict[str, float] | None]


class CompletionWriter:
    """How completions are written."""

    headers: Sequence[Header] = (JSON,)

    def __init__(self, head: Head, wish: Wish) -> None:
        self._frame = Frame(head, prefix="cmpl", whole="text_completion", chunk="text_completion", usage=wish.usage)
        self._asked = wish.logprobs is not None
        self._offsets: dict[int, Offsets] = {}

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body."""
        choices = [self._choice(i, one.text, one.tokens, encode(one.finish)) for i, one in enumerate(said)]
        return self._frame.whole(choices, usage)

    def opening(self) -> bytes:
        """Nothing: the text is all there is."""
        return b""

    def piece(self, place: int, text: str, tokens: Sequence[TokenChoice]) -> bytes:
        """A piece of the text."""
        return self._frame.chunk(self._choice(place, text, tokens, b"null"))

    def finish(self, place: int, finish: str, *, last: bool) -> bytes:
        """An empty piece that says why it ends."""
        return self._frame.chunk(self._choice(place, "", (), encode(finish)), last=last)

    def closing(self, usage: Usage) -> bytes:
        """Usage, and the end."""
        return self._frame.closing(usage)

    def broken(self, error: ApiError) -> bytes:
        """The error."""
        return broken(error)

    def _choice(self, place: int, text: str, tokens: Sequence[TokenChoice], finish: bytes) -> bytes:
        logprobs = self._logprobs(place, tokens) if self._asked else b"null"
        return b'{"index":%d,"text":%s,"logprobs":%s,"finish_reason":%s}' % (place, encode(text), logprobs, finish)

    def _logprobs(self, place: int, tokens: Sequence[TokenChoice]) -> bytes:
        offsets = self._offsets.setdefault(place, Offsets())
        tops: list[dict[str, float] | None] = []
        for token in tokens:
            if token.logprob is None:
                tops.append(None)
                continue
            top = {token.text: told_logprob(token.logprob)}
            for other, logprob in token.top:
                top.setdefault(other, told_logprob(logprob))
            tops.append(top)
        return encode(
            Logprobs(
                text_offset=[offsets.next(token) for token in tokens],
                token_logprobs=[None if t.logprob is None else told_logprob(t.logprob) for t in tokens],
                tokens=[token.text for token in tokens],
                top_logprobs=tops,
            )
        )


async def complete(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Continue one prompt or several."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    return await answer(gateway, exchange, key, asked_of(read_body(_decoder, data, NEUTRAL), gateway))


def asked_of(body: CompletionBody, gateway: Gateway, *, route: str = ROUTE) -> Asked:
    """What a body asks for. 400 for what cannot be."""
    prompts = prompts_of(body.prompt)
    logprobs = None if body.logprobs is None or body.logprobs is False else int(body.logprobs)
    if body.max_tokens == 0 and not body.echo:
        raise invalid("'max_tokens' is only 0 with 'echo': true", param="max_tokens", code="invalid_value")
    needs = {
        word: field
        for word, field, asked in (
            ("tokens", "prompt", not isinstance(prompts[0], str)),
            ("logprobs", "logprobs", logprobs is not None),
            ("echo", "echo", body.echo),
            ("penalties", body.penalised, body.penalised),
        )
        if asked
    }

    def wish(running: Running) -> Wish:
        made = wish_of(body, body.max_tokens, running.bundle.sampling, gateway.options.settings, prompts=len(prompts))
        return (
            msgspec.structs.replace(made, logprobs=logprobs, echo=bool(body.echo)).checked(running, needs)
            if needs
            else made
        )

    content = body.prompt if isinstance(body.prompt, str) else encode(prompts).decode()
    return Asked(
        route=route,
        model=body.model,
        prompts=prompts,
        wish=wish,
        writer=CompletionWriter,
        content=content,
        sticky=body.user or "",
    )


def prompts_of(given: str | list[Any], *, param: str = "prompt") -> Sequence[Prompt]:
    """Every prompt: texts, or tokens. A list of numbers is one prompt."""
    if isinstance(given, str):
        return [given]
    if all(isinstance(prompt, int) for prompt in given):
        return [given]
    if all(isinstance(prompt, str) for prompt in given) or all(isinstance(prompt, list) for prompt in given):
        return cast("list[Prompt]", given)
    raise invalid(f"'{param}' mixes texts and tokens", param=param, code="invalid_value")
