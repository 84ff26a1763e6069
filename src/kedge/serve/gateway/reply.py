"""Writes one answer, whole or streamed, as the engine gives it. The shape of the body is the route's."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from kedge.core.bundle import Sampling
from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest
from kedge.serve.answers import Answers
from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.errors import ApiError, api_error, invalid
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.receipts import Issued, issue
from kedge.serve.gateway.routing import Lane
from kedge.serve.gateway.traces import Record

_STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_DONE = b"data: [DONE]\n\n"


class Shape(Protocol):
    """How a route writes answers."""

    prefix: str
    whole: str
    chunk: str

    def choice(self, index: int, text: str, finish: str) -> dict[str, Any]:
        """A finished choice."""
        ...

    def opening(self, index: int) -> dict[str, Any] | None:
        """What a streamed choice begins with, if anything."""
        ...

    def piece(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        """A piece of a streamed choice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a route read from a body: the prompts (a choice is `wish.choices` to each), and how it wants them answered.

    `content` is what the trace keeps of it.
    """

    route: str
    shape: Shape
    model: str
    prompts: Sequence[str | Sequence[Mapping[str, str]]]
    wish: Callable[[Sampling], Wish]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """What every body and chunk of one answer begins with."""

    shape: Shape
    issued: Issued
    model: str
    created: int

    def body(self, object: str, choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
        """One JSON object of the answer."""
        return msgspec.json.encode(
            {
                "id": f"{self.shape.prefix}-{self.issued.trace}",
                "object": object,
                "created": self.created,
                "model": self.model,
                "system_fingerprint": f"fp_{self.issued.bundle.removeprefix('sha256:')[:12]}",
                "choices": choices,
                **more,
            }
        )

    def event(self, choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
        """One event of the stream."""
        return b"data: " + self.body(self.shape.chunk, choices, **more) + b"\n\n"

    @property
    def receipt(self) -> dict[str, str]:
        """The body's field `kedge`."""
        return {"receipt": self.issued.receipt, "bundle": self.issued.bundle, "trace": self.issued.trace}


def names_of(id: str, choices: int) -> list[str]:
    """What the choices of one exchange are called towards an engine."""
    return [f"{id}-{place}" for place in range(choices)]


def requests_of(asked: Asked, wish: Wish, id: str, *, prompt_limit: int) -> list[GenerationRequest]:
    """What an engine is asked: one request for each choice of each prompt."""
    requests = []
    for place, name in enumerate(names_of(id, len(asked.prompts) * wish.choices)):
        prompt = asked.prompts[place // wish.choices]
        text = prompt if isinstance(prompt, str) else None
        messages = None if isinstance(prompt, str) else prompt
        sampling = wish.for_choice(place % wish.choices)
        requests.append(
            GenerationRequest(id=name, sampling=sampling, prompt=text, messages=messages, prompt_limit=prompt_limit)
        )
    return requests


class Reply:
    """One answer on its way."""

    def __init__(
        self, gateway: Gateway, exchange: Exchange, asked: Asked, wish: Wish, lane: Lane, record: Record
    ) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._asked = asked
        self._wish = wish
        self._lane = lane
        self._record = record
        self._places = {name: i for i, name in enumerate(names_of(exchange.id, len(record.answers)))}
        self._finish: dict[int, str] = {}
        issued = issue(exchange.id, lane.running.digest, gateway.options.secret)
        self._head = _Head(shape=asked.shape, issued=issued, model=lane.address, created=int(time.time()))

    async def serve(self, answering: Answers) -> None:
        """Send the answer to the caller as it comes, or when it is whole."""
        await (self._stream(answering) if self._wish.stream else self._whole(answering))

    async def _whole(self, answering: Answers) -> None:
        for event in await answering.rest():
            self._take(event)
        shape = self._asked.shape
        texts = ["".join(answer) for answer in self._record.answers]
        choices = [shape.choice(i, text, self._finish[i]) for i, text in enumerate(texts)]
        body = self._head.body(shape.whole, choices, usage=self._usage(), kedge=self._head.receipt)
        await self._exchange.reply(200, body, [JSON, self._head.issued.header])

    async def _stream(self, answering: Answers) -> None:
        events = await answering.next()
        pieces = self._chunks(events)  # an error that comes first is raised here, before the status is sent
        await self._exchange.begin(200, [*_STREAM, self._head.issued.header])
        openings = [self._asked.shape.opening(i) for i in self._places.values()]
        chunks = [self._event([opening]) for opening in openings if opening is not None]
        try:
            while events:
                await self._exchange.part(b"".join([*chunks, *pieces]))
                chunks = []
                events = await answering.next()
                pieces = self._chunks(events)
        except (ApiError, KedgeError) as error:
            told = error if isinstance(error, ApiError) else api_error(error)
            await self._exchange.part(b"data: " + told.body() + b"\n\n")
            await self._exchange.end()
            raise
        usage = self._head.event([], usage=self._usage(), kedge=self._head.receipt) if self._wish.usage else b""
        await self._exchange.part(usage + _DONE)
        await self._exchange.end()

    def _chunks(self, events: Sequence[GenerationEvent]) -> list[bytes]:
        """Events as chunks, what came together for one choice in one; the last chunk of all carries the receipt."""
        texts: dict[int, str] = {}
        for event in events:
            place = self._take(event)
            texts[place] = texts.get(place, "") + event.text
        chunks = []
        for place, text in texts.items():
            finish = self._finish.get(place)
            if text:
                chunks.append(self._event([self._asked.shape.piece(place, text, None)]))
            if finish is not None:
                last = len(self._finish) == len(self._places) and place == max(texts)
                more = {"kedge": self._head.receipt} if last else {}
                chunks.append(self._event([self._asked.shape.piece(place, "", finish)], **more))
        return chunks

    def _event(self, choices: Sequence[dict[str, Any]], **more: Any) -> bytes:
        if self._wish.usage:
            more["usage"] = None
        return self._head.event(choices, **more)

    def _take(self, event: GenerationEvent) -> int:
        """Note what came, and return its place. Raises what went wrong with it."""
        place = self._places[event.id]
        if event.finish == "error":
            raise _refusal(event)
        if event.finish == "cancelled":
            raise Unavailable("the engine stopped while it was answering")
        if event.text:
            self._record.add(place, event.text)
        if event.finish:
            self._finish[place] = event.finish
            self._record.completion_tokens += event.completion_tokens
            if place % self._wish.choices == 0:
                self._record.prompt_tokens += event.prompt_tokens
        return place

    def _usage(self) -> dict[str, int]:
        read, made = self._record.prompt_tokens, self._record.completion_tokens
        return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}


def _refusal(event: GenerationEvent) -> ApiError:
    """The engine's reason not to answer."""
    if event.error_code == "invalid":
        too_long = event.prompt_tokens > 0
        return invalid(event.error, code="context_length_exceeded" if too_long else "invalid_prompt", param="prompt")
    if event.error_code == "limited":
        return ApiError(429, event.error, code="rate_limit_exceeded")
    return ApiError(500, "the engine could not answer", code=event.error_code or "engine_error")
