"""POST /v1/feedback: what a caller says of an answer that it got."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import msgspec

from kedge.core.access import Key
from kedge.core.errors import Invalid, Refused
from kedge.core.trace import MAX_COMMENT, Feedback, parse_receipt
from kedge.serve.gateway.asked import read_body
from kedge.serve.gateway.errors import ApiError, invalid
from kedge.serve.gateway.exchange import Exchange
from kedge.serve.gateway.parts import Gateway

ROUTE = "/v1/feedback"
NAME = "rating"


class FeedbackBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body: the receipt of the answer, and how good it was, from 0 (bad) to 1 (good)."""

    receipt: Annotated[str, msgspec.Meta(max_length=256)]
    value: Annotated[float, msgspec.Meta(ge=0, le=1)] | bool
    name: str = NAME
    comment: Annotated[str, msgspec.Meta(max_length=MAX_COMMENT)] = ""


_decoder = msgspec.json.Decoder(FeedbackBody)


async def give_feedback(gateway: Gateway, exchange: Exchange, key: Key) -> int:
    """Keep what is said of an answer: it is durable when this is answered."""
    settings = gateway.options.settings
    data = await exchange.body(limit=settings.max_body_bytes, seconds=settings.request_seconds)
    body = read_body(_decoder, data, {})
    try:
        receipt = parse_receipt(body.receipt, gateway.options.secret)
    except (Invalid, Refused) as error:
        raise invalid(error.message, param="receipt", code="invalid_receipt") from error
    try:
        said = Feedback(
            trace=receipt.trace,
            name=body.name,
            value=float(body.value),
            at=time.time(),
            by=key.id,
            comment=body.comment,
            endpoint=gateway.options.endpoint,
            bundle=receipt.bundle,
        )
    except Invalid as error:
        raise ApiError(400, error.message, param="name", code="invalid_value") from error
    await asyncio.to_thread(gateway.ports.hear, said)
    told = {"object": "feedback", "trace": said.trace, "name": said.name, "value": said.value}
    await exchange.reply(200, msgspec.json.encode(told))
    return 200
