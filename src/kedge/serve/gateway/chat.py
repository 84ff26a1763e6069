"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import msgspec

from kedge.core.access import Key
from kedge.core.generation import TokenChoice
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import CommonBody, Count, Tops, Wish, read_body, wish_of
from kedge.serve.gateway.errors import ApiError, Header, invalid
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.formats import Format, schema_of
from kedge.serve.gateway.messages import Message
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Head, Said, Usage
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.tools import Call, Choosing, Tool, calls_in, cut_at_call, forced, may_be_call, offered
from kedge.serve.gateway.words import Frame, broken, bytes_of, encode, told_logprob

ROUTE = "/v1/chat/completions"


class ChatBody(CommonBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a chat completion."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Tops | None = None
    response_format: Format | None = None
    tools: Annotated[list[Tool], msgspec.Meta(max_length=128)] | None = None
    tool_choice: Choosing | None = None
    parallel_tool_calls: Any = None
    store: Any = None
    metadata: Any = None
    modalities: Any = None
    service_tier: Any = None


NEUTRAL: Mapping[str, Sequence[Any]] = {
    "parallel_tool_calls": (True, False),
    "store": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
}
_decoder = msgspec.json.Decoder(ChatBody)


class ChatWriter:
    """How chat completions are written. `tools` are the names that count as calls."""

    headers: Sequence[Header] = (JSON,)

    def __init__(self, head: Head, wish: Wish, *, tools: frozenset[str] = frozenset()) -> None:
        self._frame = Frame(
            head, prefix="chatcmpl", whole="chat.completion", chunk="chat.completion.chunk", usage=wish.usage
        )
        self._id = head.issued.trace
        self._places = range(wish.choices)
        self._asked = wish.logprobs is not None
        self._tools = tools
        self._held: dict[int, str] = {}
        self._passing: set[int] = set()

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body."""
        return self._frame.whole([self._choice(place, one) for place, one in enumerate(said)], usage)

    def opening(self) -> bytes:
        """The role comes first."""
        opening = b'{"index":%d,"delta":{"role":"assistant","content":""},"finish_reason":null}'
        return b"".join(self._frame.chunk(opening % place) for place in self._places)

    def piece(self, place: int, text: str, tokens: Sequence[TokenChoice]) -> bytes:
        """A piece of the message. What may become a call is held back."""
        if self._tools:
            text = self._pass_on(place, text)
            if not text and not tokens:
                return b""
        content = b'"content":' + encode(text) if text else b""
        if not self._asked:
            return self._frame.chunk(b'{"index":%d,"delta":{%s},"finish_reason":null}' % (place, content))
        logprobs = _logprobs(tokens)
        return self._frame.chunk(
            b'{"index":%d,"delta":{%s},"logprobs":%s,"finish_reason":null}' % (place, content, logprobs)
        )

    def finish(self, place: int, finish: str, *, last: bool) -> bytes:
        """The calls if there are any, and why it ends."""
        chunks = b""
        if held := self._held.pop(place, ""):
            text, calls = calls_in(held, self._tools)
            delta = b",".join(
                part
                for part in (
                    b'"content":' + encode(text) if text else b"",
                    b'"tool_calls":' + self._calls(place, calls, streamed=True) if calls else b"",
                )
                if part
            )
            chunks = self._frame.chunk(b'{"index":%d,"delta":{%s},"finish_reason":null}' % (place, delta))
            finish = "tool_calls" if calls else finish
        ending = b'{"index":%d,"delta":{},"finish_reason":%s}' % (place, encode(finish))
        return chunks + self._frame.chunk(ending, last=last)

    def closing(self, usage: Usage) -> bytes:
        """Usage, and the end."""
        return self._frame.closing(usage)

    def broken(self, error: ApiError) -> bytes:
        """The error."""
        return broken(error)

    def _choice(self, place: int, said: Said) -> bytes:
        text, calls = calls_in(said.text, self._tools) if self._tools else (said.text, [])
        logprobs = _logprobs(said.tokens) if self._asked else b"null"
        if not calls:
            return (
                b'{"index":%d,"message":{"role":"assistant","content":%s,"refusal":null},"logprobs":%s,"finish_reason":%s}'
                % (
                    place,
                    encode(text),
                    logprobs,
                    encode(said.finish),
                )
            )
        message = b'{"role":"assistant","content":%s,"refusal":null,"tool_calls":%s}' % (
            encode(text or None),
            self._calls(place, calls, streamed=False),
        )
        return b'{"index":%d,"message":%s,"logprobs":%s,"finish_reason":"tool_calls"}' % (place, message, logprobs)

    def _calls(self, place: int, calls: Sequence[Call], *, streamed: bool) -> bytes:
        return encode(
            [
                {
                    **({"index": i} if streamed else {}),
                    "id": f"call_{self._id[:20]}{place:02x}{i:02x}",
                    "type": "function",
                    "function": call,
                }
                for i, call in enumerate(calls)
            ]
        )

    def _pass_on(self, place: int, text: str) -> str:
        """What of the text so far is certain to be no call."""
        held = self._held.get(place, "") + text
        if place not in self._passing and may_be_call(held):
            self._held[place] = held
            return ""
        self._passing.add(place)
        cut = cut_at_call(held)
        self._held[place] = held[cut:]
        return held[:cut]


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int]


class _Chosen(_Token):
    top_logprobs: list[_Token]


def _logprobs(tokens: Sequence[TokenChoice]) -> bytes:
    """`logprobs` of a message."""
    content = [
        _Chosen(
            token=token.text,
            logprob=told_logprob(token.logprob or 0.0),
            bytes=list(bytes_of(token.text)),
            top_logprobs=[
                _Token(token=text, logprob=told_logprob(logprob), bytes=list(bytes_of(text)))
                for text, logprob in token.top
            ],
        )
        for token in tokens
        if token.text  # this API does not tell the one that ends an answer
    ]
    return b'{"content":%s,"refusal":null}' % encode(content)


async def complete_chat(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Answer the last message of a conversation."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    return await answer(gateway, exchange, key, asked_of(read_body(_decoder, data, NEUTRAL), gateway))


def asked_of(body: ChatBody, gateway: Gateway, *, route: str = ROUTE) -> Asked:
    """What a body asks for. 400 for what cannot be."""
    if body.max_tokens is not None and body.max_completion_tokens not in (None, body.max_tokens):
        raise invalid("'max_tokens' and 'max_completion_tokens' differ", param="max_completion_tokens")
    if body.top_logprobs and not body.logprobs:
        raise invalid("'top_logprobs' is only taken with 'logprobs': true", param="top_logprobs")
    if body.tool_choice not in (None, "none", "auto") and not body.tools:
        raise invalid("'tool_choice' is only taken with 'tools'", param="tool_choice")
    limit = body.max_tokens or body.max_completion_tokens
    messages = [message.plain() for message in body.messages]
    tools = offered(body.tools or (), body.tool_choice)
    schema = schema_of(body.response_format, param="response_format")
    call = forced(body.tools or (), body.tool_choice)
    if schema and call:
        raise invalid(
            "'response_format' and a 'tool_choice' that forces a call exclude each other", param="tool_choice"
        )
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    needs = _needs(body, schema=schema, call=call)

    def wish(running: Running) -> Wish:
        made = wish_of(body, limit, running.bundle.sampling, gateway.options.settings)
        if not needs:
            return made
        return msgspec.structs.replace(made, logprobs=logprobs, schema=schema or call, tools=tools).checked(
            running, needs
        )

    names = frozenset(tool["function"]["name"] for tool in tools)
    return Asked(
        route=route,
        model=body.model,
        prompts=[messages],
        wish=wish,
        writer=partial(ChatWriter, tools=names) if names else ChatWriter,
        content=encode(messages).decode(),
        sticky=body.user or "",
    )


def _needs(body: ChatBody, *, schema: str, call: str) -> dict[str, str]:
    """What the engine must be able to do, each with the field that asks for it."""
    needs = {}
    if body.logprobs:
        needs["logprobs"] = "logprobs"
    if schema or call:
        needs["schema"] = "response_format" if schema else "tool_choice"
    if body.tools and body.tool_choice != "none":
        needs["tools"] = "tools"
    if body.penalised:
        needs["penalties"] = body.penalised
    return needs
