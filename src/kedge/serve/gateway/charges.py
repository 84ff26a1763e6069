"""What a request may cost, reserved before it is asked, and what it did cost, settled when it is answered."""

from __future__ import annotations

from typing import Final

import msgspec

from kedge.core.access import Key
from kedge.core.settings import Prices
from kedge.serve.gateway.asked import Wish
from kedge.serve.gateway.budgets import Budgets, Purse, Ticket
from kedge.serve.gateway.meters import Spend, price
from kedge.serve.gateway.reply import Asked
from kedge.serve.gateway.routing import Running
from kedge.serve.gateway.traces import Record

_SPARE: Final = 16  # tokens that a prompt has beside its text: its beginning, its end
_BYTES: Final = 4  # that a token has on average, for limits by the minute


class Charge(msgspec.Struct, kw_only=True):
    """What was reserved for one request. `prompt_limit` holds the engine to it: 0 for no limit."""

    budgets: Budgets
    ticket: Ticket
    prices: Prices
    bytes: int
    prompt_limit: int

    def settle(self, record: Record) -> None:
        """Give back what was not used. An answer from the cache costs nothing; one that was left costs its bytes."""
        read, made = record.prompt_tokens, record.completion_tokens
        if record.cache:
            read = made = 0
        elif not made and record.bundle and any(record.answers):
            read, made = self.bytes, sum(len(piece.encode()) for answer in record.answers for piece in answer)
        reserved = self.ticket.spend
        tokens, money = min(read + made, reserved.tokens), min(price(self.prices, read=read, made=made), reserved.money)
        record.charged = money
        self.budgets.settle(self.ticket, Spend(tokens=tokens, money=money, estimate=read + made))


async def reserve(
    budgets: Budgets, prices: Prices, key: Key, asked: Asked, wish: Wish, running: Running
) -> Charge | None:
    """Reserve the most that a request can cost; None for a key without limits. 429 if it is not left.

    A token is a byte at least, so that a prompt has at most as many tokens as it and its template have bytes; the
    engine refuses one that should have more all the same.
    """
    purse: Purse | None = budgets.purse(key)
    if purse is None:
        return None
    content = asked.content
    size = len(content) if content.isascii() else len(content.encode(errors="surrogatepass"))
    limit = size + running.template_bytes + _SPARE
    prompts = len(asked.prompts)
    made = prompts * wish.choices * wish.sampling.max_tokens
    spend = Spend(
        tokens=prompts * limit + made,
        money=price(prices, read=prompts * limit, made=made),
        estimate=size // _BYTES + made,
    )
    ticket = await budgets.take(purse, spend)
    return Charge(budgets=budgets, ticket=ticket, prices=prices, bytes=size, prompt_limit=limit if purse.counted else 0)
