"""The container contract of Amazon SageMaker: GET /ping and POST /invocations.

The platform sends no API key, so these paths run as the key that the setting `gateway.container_key` refers to, and are
not there without one. An invocation is the body of a chat completion or of a completion, without `model` if need be, or
`inputs` with `parameters`: then each input is what a person says, and goes through the bundle's prompt or chat template.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from kedge.core.access import Key
from kedge.serve.gateway import chat, completions
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import (
    Count,
    Seed,
    Stop,
    Stops,
    Temperature,
    TopP,
    Wish,
    limit_tokens,
    read_body,
    unsupported,
)
from kedge.serve.gateway.errors import Header, invalid
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Head, Prompt, Said, Usage
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.words import encode, receipt_of

PING = "/ping"
INVOCATIONS = "/invocations"


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer is made, in the words of Hugging Face's containers."""

    max_new_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    stop: Stop | Stops | None = None
    do_sample: bool | None = None
    return_full_text: bool = False


class InputsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of an invocation with `inputs`."""

    inputs: str | Annotated[list[str], msgspec.Meta(min_length=1)]
    parameters: Parameters = Parameters()


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_inputs = msgspec.json.Decoder(InputsBody)
_chat = msgspec.json.Decoder(chat.ChatBody)
_text = msgspec.json.Decoder(completions.CompletionBody)


class InputsWriter:
    """A list of texts, as Hugging Face's containers give it."""

    headers: Sequence[Header] = (JSON,)

    def __init__(self, head: Head, wish: Wish) -> None:
        self._receipt = receipt_of(head.issued)

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body."""
        texts = [b'{"generated_text":%s,"kedge":%s}' % (encode(one.text), self._receipt) for one in said]
        return b"[" + b",".join(texts) + b"]"


async def ping(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """200 when a request would be answered now, otherwise 503."""
    status = 200 if gateway.healthy else 503
    await exchange.reply(status, b"{}")
    return status


async def invoke(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Answer an invocation, whatever its shape."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    return await answer(gateway, exchange, key, _asked(data, gateway))


def _asked(data: bytes, gateway: Gateway) -> Asked:
    try:
        fields = _fields.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"the body is not a JSON object: {error}", code="invalid_json") from error
    if "inputs" in fields:
        return _asked_inputs(read_body(_inputs, data, {}), gateway)
    named = encode({"model": gateway.options.model, **fields})
    if "messages" in fields:
        return chat.asked_of(read_body(_chat, named, chat.NEUTRAL), gateway, route=INVOCATIONS)
    if "prompt" in fields:
        return completions.asked_of(read_body(_text, named, completions.NEUTRAL), gateway, route=INVOCATIONS)
    raise invalid("one of 'messages', 'prompt' and 'inputs' is needed", code="missing_parameter")


def _asked_inputs(body: InputsBody, gateway: Gateway) -> Asked:
    texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
    given = body.parameters
    if given.return_full_text:
        raise unsupported("parameters.return_full_text")
    if given.do_sample is False and given.temperature:
        raise invalid("'do_sample': false and a temperature exclude each other", param="parameters.do_sample")
    if len(texts) > gateway.options.settings.max_choices:
        said = f"at most {gateway.options.settings.max_choices} inputs are taken at once"
        raise invalid(said, param="inputs", code="limit_exceeded")

    def wish(running: Running) -> Wish:
        defaults = running.bundle.sampling
        limit = limit_tokens(given.max_new_tokens, defaults, gateway.options.settings, param="max_new_tokens")
        said: dict[str, Any] = {name: getattr(given, name) for name in ("temperature", "top_p", "seed")}
        if given.do_sample is False:
            said["temperature"] = 0.0
        if given.stop is not None:
            said["stop"] = (given.stop,) if isinstance(given.stop, str) else tuple(given.stop)
        kept = {name: value for name, value in said.items() if value is not None}
        return Wish(sampling=replace(defaults, max_tokens=limit, **kept))

    prompts: list[Prompt] = [[{"role": "user", "content": text}] for text in texts]
    return Asked(
        route=INVOCATIONS,
        model=gateway.options.model,
        prompts=prompts,
        wish=wish,
        writer=InputsWriter,
        content=encode(texts).decode(),
    )
