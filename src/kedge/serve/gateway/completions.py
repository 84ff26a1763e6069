"""POST /v1/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from kedge.core.access import Key
from kedge.core.bundle import Sampling
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import COMMON_NEUTRAL, CommonBody, Wish, read_body, wish_of
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked

ROUTE = "/v1/completions"


class CompletionBody(CommonBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a completion: the prompt is read as it is, without the bundle's template."""

    prompt: str | Annotated[list[str], msgspec.Meta(min_length=1)]
    best_of: Any = None
    echo: Any = None
    suffix: Any = None


NEUTRAL: Mapping[str, Sequence[Any]] = {**COMMON_NEUTRAL, "best_of": (1,), "echo": (False,), "suffix": ("",)}
_decoder = msgspec.json.Decoder(CompletionBody)


class CompletionShape:
    """How completions are written."""

    prefix = "cmpl"
    whole = "text_completion"
    chunk = "text_completion"

    def choice(self, index: int, text: str, finish: str) -> dict[str, Any]:
        """A finished text."""
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}

    def opening(self, index: int) -> dict[str, Any] | None:
        """Nothing: the text is all there is."""
        return None

    def piece(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        """A piece of the text."""
        return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


async def complete(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Continue one prompt or several."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    body = read_body(_decoder, data, NEUTRAL)
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt

    def wish(defaults: Sampling) -> Wish:
        return wish_of(body, body.max_tokens, defaults, settings)

    content = body.prompt if isinstance(body.prompt, str) else msgspec.json.encode(prompts).decode()
    asked = Asked(route=ROUTE, shape=CompletionShape(), model=body.model, prompts=prompts, wish=wish, content=content)
    return await answer(gateway, exchange, key, asked)
