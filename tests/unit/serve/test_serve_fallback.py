"""Who answers when an engine does not: the same once more, fallbacks, two at once; and engines that are left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from kedge.core.bundle import Bundle
from kedge.core.errors import Unavailable
from kedge.core.generation import GenerationRequest
from kedge.core.release import Release, Role
from kedge.core.settings import EndpointSettings, GatewaySettings
from kedge.core.spec import Spec
from kedge.core.trace import parse_receipt
from kedge.serve.answers import Answering
from kedge.serve.gateway.breakers import Breakers, RetryBudget
from kedge.serve.gateway.parts import Gateway, assemble
from kedge.serve.gateway.routing import Running
from kedge.testing.engines import EchoEngine
from kedge.testing.gateway import SECRET, Caller, InProcess, MemoryGateway

TEXT = "/v1/completions"

Act = Callable[[Caller, MemoryGateway, Gateway], Awaitable[None]]


def words(prefix: str = "") -> Bundle:
    return Bundle(model="x", engine=Spec(name="echo", args={"prefix": prefix}))


def text(**more: object) -> dict[str, object]:
    return {"model": "words", "prompt": "one two", **more}


def serve(act: Act, *, fallback: bool = False, hedge_seconds: float = 0.0, **settings: Any) -> MemoryGateway:
    """Run `act` against an endpoint, whose fallback (if it has one) says `other` first."""
    memory = MemoryGateway(
        settings=GatewaySettings(**settings), serving=EndpointSettings(model="words", hedge_seconds=hedge_seconds)
    )
    memory.add_key()
    other = replace(memory.release(words("other ")), endpoint="other")
    memory.release(words())

    def current() -> Mapping[Role, Release]:
        return {Role.STABLE: other}

    async def main() -> None:
        gateway = memory.assemble()
        if fallback:
            gateway = assemble(gateway.options, replace(gateway.ports, fallbacks={"other": current}))
        for follower in (gateway.follower, *gateway.fallbacks):
            await follower.start()
        await act(Caller(gateway), memory, gateway)
        for follower in (gateway.follower, *gateway.fallbacks):
            await follower.close()

    asyncio.run(main())
    return memory


def break_once(engine: InProcess, times: int = 1) -> list[int]:
    """Have an engine fail its next answers before they begin; the list counts how often it was asked."""
    asked: list[int] = []
    ask = engine.ask

    async def broken(requests: Sequence[GenerationRequest]) -> Answering:
        asked.append(len(requests))
        if len(asked) <= times:
            raise Unavailable("the engine stopped while it was answering")
        return await ask(requests)

    engine.ask = broken  # type: ignore[method-assign]  # to make it fail
    return asked


def test_an_answer_that_did_not_begin_is_asked_for_again() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        for stream in (False, True):
            asked = break_once(memory.engines[0])
            assert (await caller.post(TEXT, text(stream=stream))).status == 200
            assert len(asked) == 2

    kept = serve(act).traces.traces  # each with the attempt that failed before it
    assert [trace.answer for trace in kept if not trace.parent] == ["one two"] * 2


def test_a_stream_that_began_is_never_asked_for_again() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked = break_once(memory.engines[0], times=0)
        call = asyncio.create_task(caller.post(TEXT, text(prompt="a " * 200, stream=True)))
        async with asyncio.timeout(5):
            while not any(answering.began for answering in memory.engines[0]._answering.values()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            memory.engines[0].fail(Unavailable("the engine stopped while it was answering"))
            response = await call
        assert response.status == 200
        assert b"engine stopped" in response.body
        assert len(asked) == 1

    serve(act)


def test_retries_are_a_share_of_all_requests() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        break_once(memory.engines[0], times=1000)
        for _ in range(30):
            assert (await caller.post(TEXT, text())).status == 503
        assert gateway.retries.spent <= 10 + 3

    serve(act, breaker_failures=0)


def test_without_a_budget_nothing_is_asked_again() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked = break_once(memory.engines[0])
        assert (await caller.post(TEXT, text())).status == 503
        assert len(asked) == 1

    serve(act, retry_share=0.0)


def test_a_mistake_of_the_caller_is_not_asked_again() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked = break_once(memory.engines[0], times=0)
        assert (await caller.post(TEXT, text(prompt="x " * 600))).status == 400
        assert len(asked) == 1

    serve(act, fallback=True)


def test_a_fallback_answers_under_its_own_receipt() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        break_once(memory.engines[0], times=1000)
        response = await caller.post(TEXT, text())
        assert response.json["choices"][0]["text"] == "other one two"
        other = gateway.fallback_lanes()[0]
        assert parse_receipt(response.headers["x-kedge-receipt"], SECRET).bundle == other.running.digest
        assert response.json["model"] == other.address
        trace = memory.traces.traces[-1]
        assert (trace.role, trace.bundle, trace.status) == ("fallback", other.running.digest, 200)

    serve(act, fallback=True)


def test_an_engine_that_keeps_failing_is_left_alone_until_it_may_try_again() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked = break_once(memory.engines[0], times=3)
        for _ in range(6):
            assert (await caller.post(TEXT, text())).json["choices"][0]["text"] == "other one two"
        assert len(asked) == 3
        gateway.breakers._until.clear()
        assert (await caller.post(TEXT, text())).json["choices"][0]["text"] == "one two"

    serve(act, fallback=True, breaker_failures=3, breaker_seconds=1000.0)


def test_an_engine_that_is_the_only_one_is_never_left_alone() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        break_once(memory.engines[0], times=8)
        assert [(await caller.post(TEXT, text())).status for _ in range(9)] == [503] * 8 + [200]

    serve(act, breaker_failures=2, breaker_seconds=1000.0, retry_share=0.0)


def test_a_breaker_lets_one_request_try_at_a_time() -> None:
    now = 0.0
    breakers = Breakers(2, 10.0, time=lambda: now)
    running = Running(digest="a", bundle=words(), engine=InProcess(EchoEngine()))
    breakers.failed(running)
    assert breakers.allows(running)
    breakers.failed(running)
    assert not breakers.allows(running)
    now = 10.0
    assert [breakers.allows(running), breakers.allows(running)] == [True, False]
    breakers.succeeded(running)
    assert [breakers.allows(running), breakers.allows(running)] == [True, True]
    assert breakers.opened == 1


def test_a_retry_budget_is_earned() -> None:
    budget = RetryBudget(0.5)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    budget.earn()
    budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]


@pytest.mark.parametrize("stream", [False, True])
def test_a_hedged_request_takes_the_answer_that_begins_first(stream: bool) -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        slow = memory.engines[0]
        released = asyncio.Event()

        async def hang(requests: Sequence[GenerationRequest]) -> Answering:
            return Answering([request.id for request in requests], lambda ids: released.set())

        slow.ask = hang  # type: ignore[method-assign]  # to make it slow
        response = await caller.post(TEXT, text(stream=stream))
        assert b"other" in response.body
        assert released.is_set()
        assert memory.traces.traces[-1].bundle == gateway.fallback_lanes()[0].running.digest

    serve(act, fallback=True, hedge_seconds=0.001)


def test_a_hedged_request_whose_engine_is_quick_asks_nobody_else() -> None:
    async def act(caller: Caller, memory: MemoryGateway, gateway: Gateway) -> None:
        asked = break_once(memory.engines[1], times=0)
        assert (await caller.post(TEXT, text())).json["choices"][0]["text"] == "one two"
        assert asked == []

    serve(act, fallback=True, hedge_seconds=30.0)
