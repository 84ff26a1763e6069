"""What keys and tenants may use: requests and tokens a minute, answers at once, budgets of tokens and money."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from kedge.core.access import Allowance, Terms
from kedge.core.bundle import Bundle
from kedge.core.errors import Unavailable
from kedge.core.settings import EndpointSettings, Prices
from kedge.core.spec import Spec
from kedge.core.usage import Holding
from kedge.serve.gateway.errors import ApiError
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.places import Places
from kedge.testing.clock import START
from kedge.testing.gateway import KEY, Caller, MemoryGateway, Response
from kedge.testing.usage import MemoryUsage

TEXT = "/v1/completions"
OTHER = "kdg_" + "o" * 43

Act = Callable[[Caller, MemoryGateway], Awaitable[None]]


def text(prompt: str = "a b c", **more: object) -> dict[str, object]:
    return {"model": "words", "prompt": prompt, "max_tokens": 10, **more}


def limited(act: Act, *, terms: Terms | None = None, gateways: int = 1, **allowance: Any) -> MemoryGateway:
    """Run `act` with one key of this allowance, at a gateway (or at several that share a ledger, by turns)."""
    memory = MemoryGateway(serving=EndpointSettings(model="words", prices=Prices(prompt=1.0, completion=2.0)))
    memory.add_key(terms=terms or Terms(allowance=Allowance(**allowance)))
    memory.release(Bundle(model="x", engine=Spec(name="echo")))

    async def main() -> None:
        made = [memory.assemble() for _ in range(gateways)]
        for gateway in made:
            await gateway.follower.start()
        await act(Turns(made), memory)
        for gateway in made:
            await gateway.follower.close()

    asyncio.run(main())
    return memory


class Turns(Caller):
    """A caller who asks several gateways by turns."""

    def __init__(self, gateways: list[Gateway]) -> None:
        super().__init__(gateways[0])
        self.gateways = gateways
        self._callers = [Caller(gateway) for gateway in gateways]
        self._asked = 0

    async def post(self, path: str, body: object, *, key: str | None = None) -> Response:
        """The next gateway's answer."""
        self._asked += 1
        return await self._callers[self._asked % len(self._callers)].post(path, body, key=key)


async def statuses(caller: Caller, times: int, body: object = None) -> list[int]:
    return [(await caller.post(TEXT, body or text())).status for _ in range(times)]


def test_a_key_without_limits_costs_the_ledger_nothing() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        response = await caller.post(TEXT, text())
        assert response.status == 200
        assert not [name for name in response.headers if name.startswith("x-ratelimit")]
        assert memory.usage.reserved == 0

    limited(act)


def test_requests_a_minute_are_counted_over_all_gateways_and_begin_anew() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert await statuses(caller, 7) == [200] * 5 + [429] * 2
        refused = await caller.post(TEXT, text())
        assert refused.json["error"]["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        memory.clock.advance(60)
        assert await statuses(caller, 6) == [200] * 5 + [429]

    limited(act, gateways=3, requests_per_minute=5)


def test_a_caller_is_told_what_is_left() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        await caller.post(TEXT, text())
        headers = (await caller.post(TEXT, text())).headers
        assert headers["x-ratelimit-limit-requests"] == "100"
        assert headers["x-ratelimit-remaining-requests"] == "98"
        assert headers["x-ratelimit-limit-tokens"] == "1000"
        assert headers["x-ratelimit-reset-requests"].endswith("s")

    limited(act, requests_per_minute=100, tokens_per_minute=1000)


def test_tokens_a_minute_are_settled_by_what_was_used() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert await statuses(caller, 12) == [200] * 12  # each might use 11 and uses 6
        assert (await caller.post(TEXT, text(max_tokens=90))).status == 429

    limited(act, tokens_per_minute=100)


def test_a_budget_of_tokens_is_never_overspent() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        got = await statuses(caller, 60)
        assert got == sorted(got)
        assert got[-1] == 429
        refused = await caller.post(TEXT, text())
        assert refused.json["error"]["code"] == "insufficient_quota"
        assert 200 - 40 <= sum(trace.prompt_tokens + trace.completion_tokens for trace in memory.traces.traces) <= 200

    limited(act, tokens=200)


def test_a_budget_of_money_counts_by_the_endpoints_prices() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        await statuses(caller, 40)
        answered = [trace for trace in memory.traces.traces if trace.status == 200]
        spent = sum(trace.prompt_tokens + 2 * trace.completion_tokens for trace in answered)
        assert 0 < spent <= 300  # millionths: prices are 1 and 2 for a million tokens
        assert '"cost":9e-6' in answered[0].detail or '"cost":0.000009' in answered[0].detail
        assert len(answered) < 40

    limited(act, money=0.0003)


def test_a_tenants_budget_is_shared_by_its_keys() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        memory.add_key(OTHER, terms=Terms(tenant="acme"))
        assert [(await caller.post(TEXT, text(), key=key)).status for key in (KEY, OTHER, KEY)] == [200, 200, 429]

    memory_terms = Terms(tenant="acme")

    async def with_tenant(caller: Caller, memory: MemoryGateway) -> None:
        memory.tenants["acme"] = Allowance(requests_per_minute=2)
        await act(caller, memory)

    limited(with_tenant, terms=memory_terms)


def test_answers_at_once_are_counted_over_all_gateways() -> None:
    usage, now = MemoryUsage(), START

    def hold(holding: Holding, at: datetime) -> bool:
        return usage.hold(holding, at=at)

    async def main() -> None:
        first, second = (Places("key:1", holder, 4, hold) for holder in ("a", "b"))
        for places in (first, second, first, second):
            await places.enter(now)
        for places in (first, second):
            with pytest.raises(ApiError) as refused:
                await places.enter(now)
            assert (refused.value.status, refused.value.code) == (429, "concurrency_limit_exceeded")
        first.leave()
        await first.renew(now)
        await second.enter(now)

    asyncio.run(main())


def test_places_of_a_gateway_that_died_are_free_again_after_a_while() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert isinstance(caller, Turns)
        dead, alive = (Caller(gateway) for gateway in caller.gateways)
        assert (await dead.post(TEXT, text())).status == 200
        assert (await alive.post(TEXT, text())).status == 429
        memory.clock.advance(11)
        assert (await alive.post(TEXT, text())).status == 200

    limited(act, gateways=2, streams=1)


def test_without_the_ledger_nobody_with_a_limit_comes_in() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        memory.usage.down = Unavailable("the ledger is busy")
        assert (await caller.post(TEXT, text())).status == 503

    limited(act, tokens=1000)


def test_what_is_idle_is_given_back_for_others() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert (await caller.post(TEXT, text())).status == 200
        assert isinstance(caller, Turns)
        await caller.gateways[0].budgets.tidy(idle=0.0)
        assert [used.units for used in memory.usage.used("key:key-0/tokens-per-month")] == [6]

    limited(act, tokens=100_000)


def test_a_request_that_fails_gives_everything_back() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert (await caller.post(TEXT, text("x " * 600))).status == 400
        assert isinstance(caller, Turns)
        await caller.gateways[0].budgets.tidy(idle=0.0)
        assert [used.units for used in memory.usage.used("key:key-0/tokens-per-month")] == [0]

    limited(act, tokens=100_000)


def test_a_key_that_took_anothers_place_spends_from_the_same_account() -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        terms = Terms(allowance=Allowance(requests_per_minute=2))
        memory.add_key(OTHER, terms=terms)
        memory.keys[:] = [replace(key, terms=terms, account="lineage") for key in memory.keys]
        assert [(await caller.post(TEXT, text(), key=key)).status for key in (KEY, OTHER, KEY)] == [200, 200, 429]

    limited(act)


@pytest.mark.parametrize(("model", "status"), [("words", 200), ("words@1", 200), ("other", 403)])
def test_a_key_opens_the_models_of_its_terms(model: str, status: int) -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert (await caller.post(TEXT, text() | {"model": model})).status == status

    limited(act, terms=Terms(models=("words",)))


@pytest.mark.parametrize(("endpoint", "status"), [("words", 200), ("elsewhere", 403)])
def test_a_key_opens_the_endpoints_of_its_terms(endpoint: str, status: int) -> None:
    async def act(caller: Caller, memory: MemoryGateway) -> None:
        assert (await caller.post(TEXT, text())).status == status

    limited(act, terms=Terms(endpoints=(endpoint,)))
