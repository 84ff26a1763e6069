"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from kedge.core.access import Key
from kedge.core.bundle import Sampling
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import COMMON_NEUTRAL, CommonBody, Count, Wish, read_body, wish_of
from kedge.serve.gateway.errors import invalid
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked

ROUTE = "/v1/chat/completions"


class TextPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message. The fields after `content` are those of answers sent back; only their absence is supported."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None
    name: None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None

    def plain(self) -> dict[str, str]:
        """Role and text, as chat templates take them."""
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, list):
            return {"role": role, "content": "".join(part.text for part in self.content)}
        return {"role": role, "content": self.content or ""}


class ChatBody(CommonBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a chat completion."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    top_logprobs: Any = None
    response_format: Any = None
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None
    store: Any = None
    metadata: Any = None
    modalities: Any = None
    service_tier: Any = None


NEUTRAL: Mapping[str, Sequence[Any]] = {
    **COMMON_NEUTRAL,
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "store": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
}
_decoder = msgspec.json.Decoder(ChatBody)


class ChatShape:
    """How chat completions are written."""

    prefix = "chatcmpl"
    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def choice(self, index: int, text: str, finish: str) -> dict[str, Any]:
        """A finished message."""
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}

    def opening(self, index: int) -> dict[str, Any] | None:
        """The role comes first."""
        return {"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}

    def piece(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        """A piece of the message."""
        return {"index": index, "delta": {"content": text} if text else {}, "finish_reason": finish}


async def complete_chat(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Answer the last message of a conversation."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    body = read_body(_decoder, data, NEUTRAL)
    limits = {limit for limit in (body.max_tokens, body.max_completion_tokens) if limit is not None}
    if len(limits) > 1:
        raise invalid("'max_tokens' and 'max_completion_tokens' differ", param="max_completion_tokens")
    messages = [message.plain() for message in body.messages]

    def wish(defaults: Sampling) -> Wish:
        return wish_of(body, next(iter(limits), None), defaults, settings)

    content = msgspec.json.encode(messages).decode()
    asked = Asked(route=ROUTE, shape=ChatShape(), model=body.model, prompts=[messages], wish=wish, content=content)
    return await answer(gateway, exchange, key, asked)
