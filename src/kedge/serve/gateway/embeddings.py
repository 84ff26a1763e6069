"""POST /v1/embeddings."""

from __future__ import annotations

import array
import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from kedge.core.access import Key
from kedge.serve.gateway.answer import answer
from kedge.serve.gateway.asked import Wish, read_body
from kedge.serve.gateway.completions import Token, Tokens, prompts_of
from kedge.serve.gateway.errors import Header, invalid
from kedge.serve.gateway.exchange import JSON, Exchange
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.reply import Asked, Head, Said, Usage
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.words import encode, receipt_of

ROUTE = "/v1/embeddings"
MOST = 256  # texts in a request


class EmbeddingBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request for embeddings."""

    model: str
    input: str | Annotated[list[str | Token | Tokens], msgspec.Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] = "float"
    user: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    dimensions: Any = None


NEUTRAL: Mapping[str, Sequence[Any]] = {"dimensions": ()}
_decoder = msgspec.json.Decoder(EmbeddingBody)


class EmbeddingWriter:
    """How embeddings are written."""

    headers: Sequence[Header] = (JSON,)

    def __init__(self, head: Head, wish: Wish, *, base64: bool) -> None:
        self._head = head
        self._base64 = base64

    def whole(self, said: Sequence[Said], usage: Usage) -> bytes:
        """One body."""
        data = b",".join(
            b'{"object":"embedding","index":%d,"embedding":%s}' % (i, self._vector(one.embedding))
            for i, one in enumerate(said)
        )
        read, model = usage.read, encode(self._head.model)
        return b'{"object":"list","data":[%s],"model":%s,"usage":{"prompt_tokens":%d,"total_tokens":%d},"kedge":%s}' % (
            data,
            model,
            read,
            read,
            receipt_of(self._head.issued),
        )

    def _vector(self, embedding: bytes) -> bytes:
        if self._base64:
            return b'"%s"' % base64.b64encode(embedding)
        return encode(array.array("f", embedding).tolist())


async def embed(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Turn texts into vectors."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    return await answer(gateway, exchange, key, asked_of(read_body(_decoder, data, NEUTRAL)))


def asked_of(body: EmbeddingBody) -> Asked:
    """What a body asks for. 400 for what cannot be."""
    prompts = prompts_of(body.input, param="input")
    if len(prompts) > MOST:
        raise invalid(f"at most {MOST} texts are embedded at once", param="input", code="limit_exceeded")
    needs = {"embed": "model"} | ({} if isinstance(prompts[0], str) else {"tokens": "input"})

    def wish(running: Running) -> Wish:
        return Wish(sampling=running.bundle.sampling, embed=True).checked(running, needs)

    def writer(head: Head, wish: Wish) -> EmbeddingWriter:
        return EmbeddingWriter(head, wish, base64=body.encoding_format == "base64")

    content = body.input if isinstance(body.input, str) else encode(prompts).decode()
    return Asked(
        route=ROUTE,
        model=body.model,
        prompts=prompts,
        wish=wish,
        writer=writer,
        content=content,
        sticky=body.user or "",
    )
