"""Writes one answer, whole or streamed, as the engine gives it. The shape of the body is the route's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import msgspec

from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest, TokenChoice
from kedge.serve.answers import Answers
from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.errors import ApiError, Header, api_error, invalid
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.receipts import Issued, issue
from kedge.serve.gateway.routing import Lane, Running
from kedge.serve.gateway.traces import Record

EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_NO_CACHE = (b"cache-control", b"no-cache")

Prompt = str | Sequence[int] | Sequence[Mapping[str, Any]]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is called: its receipt, the version that answers, and when (seconds since the epoch)."""

    issued: Issued
    model: str
    created: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens were read and made."""

    read: int
    made: int


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer."""

    text: str
    finish: str
    tokens: Sequence[TokenChoice] = ()
    embedding: bytes = b""


class Writer(Protocol):
    """Writes one answer in a route's words: the bytes to send. `headers` are read after `whole`."""

    headers: Sequence[Header]

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """The body of an answer that is not streamed."""
        ...


class StreamWriter(Writer, Protocol):
    """Writes an answer as the parts of a stream too, in the order of these methods; what a route that never wishes for
    a stream does without. `place` counts the choices of all prompts."""

    def opening(self) -> bytes:
        """What a stream begins with."""
        ...

    def piece(self, place: int, text: str, tokens: Sequence[TokenChoice]) -> bytes:
        """More of one choice."""
        ...

    def finish(self, place: int, finish: str, *, last: bool) -> bytes:
        """The end of one choice; `last` if all others have ended."""
        ...

    def closing(self, usage: Usage) -> bytes:
        """What a stream ends with."""
        ...

    def broken(self, error: ApiError) -> bytes:
        """What a stream ends with that cannot be finished."""
        ...


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a route read from a body: the prompts (a choice is `wish.choices` to each), and how it wants them answered.

    `wish` is made for the lane that answers, and raises what cannot be done there. `writer` gets that wish and where
    it goes. `content` is what the trace keeps of the prompts; `sticky` is the caller's own word for who asks.
    """

    route: str
    model: str
    prompts: Sequence[Prompt]
    wish: Callable[[Running], Wish]
    writer: Callable[[Head, Wish], Writer]
    content: str
    sticky: str = ""


def names_of(id: str, choices: int) -> list[str]:
    """What the choices of one exchange are called towards an engine."""
    return [f"{id}-{place}" for place in range(choices)]


def requests_of(asked: Asked, wish: Wish, id: str, *, prompt_limit: int, whole: bool) -> list[GenerationRequest]:
    """What an engine is asked: one request for each choice of each prompt. `whole`: nobody reads before the end."""
    requests = []
    for place, name in enumerate(names_of(id, len(asked.prompts) * wish.choices)):
        prompt = asked.prompts[place // wish.choices]
        text = prompt if isinstance(prompt, str) else None
        ids = None if text is not None or not isinstance(prompt[0], int) else prompt
        requests.append(
            GenerationRequest(
                id=name,
                sampling=wish.for_choice(place % wish.choices),
                prompt=text,
                tokens=ids,  # type: ignore[arg-type]  # told apart by its first item
                messages=None if text is not None or ids is not None else prompt,  # type: ignore[arg-type]  # the same
                prompt_limit=prompt_limit,
                logprobs=wish.logprobs,
                echo=wish.echo,
                schema=wish.schema,
                tools=wish.tools,
                penalties=wish.penalties,
                embed=wish.embed,
                whole=whole,
            )
        )
    return requests


class Reply:
    """One answer on its way."""

    def __init__(
        self, gateway: Gateway, exchange: Exchange, asked: Asked, wish: Wish, lane: Lane, record: Record
    ) -> None:
        self._exchange = exchange
        self._wish = wish
        self._record = record
        self._places = {name: i for i, name in enumerate(names_of(exchange.id, len(record.answers)))}
        self._finish: dict[int, str] = {}
        self._tokens: dict[int, list[TokenChoice]] = {}
        self._embeddings: dict[int, bytes] = {}
        self._issued = issue(exchange.id, lane.running.digest, gateway.options.secret)
        self._writer = asked.writer(Head(issued=self._issued, model=lane.address, created=int(time.time())), wish)

    async def serve(self, answering: Answers) -> None:
        """Send the answer to the caller as it comes, or when it is whole."""
        await (self._stream(answering) if self._wish.stream else self._whole(answering))

    async def _whole(self, answering: Answers) -> None:
        for event in await answering.rest():
            place = self._take(event)
            if event.tokens:
                self._tokens.setdefault(place, []).extend(event.tokens)
            if event.embedding:
                self._embeddings[place] = event.embedding
        said = [
            Said(
                text="".join(answer),
                finish=self._finish[place],
                tokens=self._tokens.get(place, ()),
                embedding=self._embeddings.get(place, b""),
            )
            for place, answer in enumerate(self._record.answers)
        ]
        body = self._writer.whole(said, self._usage)
        await self._exchange.reply(200, body, [*self._writer.headers, self._issued.header])

    async def _stream(self, answering: Answers) -> None:
        writer = cast("StreamWriter", self._writer)
        events = await answering.next()
        opening = writer.opening()
        pieces = [opening, *self._pieces(writer, events)]  # what fails first is raised here, before the status is sent
        await self._exchange.begin(200, [EVENTS, _NO_CACHE, self._issued.header])
        try:
            while events:
                await self._exchange.part(b"".join(pieces))
                events = await answering.next()
                pieces = self._pieces(writer, events)
        except (ApiError, KedgeError) as error:
            told = error if isinstance(error, ApiError) else api_error(error)
            await self._exchange.part(writer.broken(told))
            await self._exchange.end()
            raise
        await self._exchange.part(writer.closing(self._usage))
        await self._exchange.end()

    def _pieces(self, writer: StreamWriter, events: Sequence[GenerationEvent]) -> list[bytes]:
        """Events as parts of the stream, what came together for one choice in one; the last end of all is told so."""
        texts: dict[int, str] = {}
        tokens: dict[int, tuple[TokenChoice, ...]] = {}
        for event in events:
            place = self._take(event)
            texts[place] = texts.get(place, "") + event.text
            if event.tokens:
                tokens[place] = tokens.get(place, ()) + event.tokens
        pieces = []
        done = len(self._finish) == len(self._places)
        for place, text in texts.items():
            if text or place in tokens:
                pieces.append(writer.piece(place, text, tokens.get(place, ())))
            finish = self._finish.get(place)
            if finish is not None:
                pieces.append(writer.finish(place, finish, last=done and place == max(texts)))
        return pieces

    def _take(self, event: GenerationEvent) -> int:
        """Note what came, and return its place. Raises what went wrong with it."""
        place = self._places[event.id]
        if event.text:
            self._record.add(place, event.text)
        if event.finish:
            if event.finish == "error":
                raise refusal(event)
            if event.finish == "cancelled":
                raise Unavailable("the engine stopped while it was answering")
            self._finish[place] = event.finish
            self._record.completion_tokens += event.completion_tokens
            if place % self._wish.choices == 0:
                self._record.prompt_tokens += event.prompt_tokens
        return place

    @property
    def _usage(self) -> Usage:
        return Usage(read=self._record.prompt_tokens, made=self._record.completion_tokens)


def refusal(event: GenerationEvent) -> ApiError:
    """The engine's reason not to answer."""
    if event.error_code == "invalid":
        too_long = event.prompt_tokens > 0
        return invalid(event.error, code="context_length_exceeded" if too_long else "invalid_prompt", param="prompt")
    if event.error_code == "limited":
        return ApiError(429, event.error, code="rate_limit_exceeded")
    return ApiError(500, "the engine could not answer", code=event.error_code or "engine_error")
