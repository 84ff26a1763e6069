"""Callers that stay on their side, copies that nobody sees, and feedback on receipts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from kedge.core.bundle import Bundle
from kedge.core.errors import Unavailable
from kedge.core.release import Role
from kedge.core.settings import GatewaySettings
from kedge.core.spec import Spec
from kedge.core.trace import Trace
from kedge.serve.gateway.copies import Copies
from kedge.serve.gateway.parts import Gateway
from kedge.serve.gateway.routing import FEW, Callers, place
from kedge.serve.gateway.watch import watch
from kedge.testing.gateway import Caller, MemoryGateway, Response


def bundle(name: str, **flags: object) -> Bundle:
    """An echo that says its name first."""
    return Bundle(model="x", engine=Spec(name="echo", args={"prefix": f"{name} ", **flags}))


def serve(memory: MemoryGateway, act: Callable[[Caller, Gateway], Awaitable[None]]) -> None:
    memory.add_key()

    async def main() -> None:
        gateway = memory.assemble()
        await gateway.follower.start()
        await act(Caller(gateway), gateway)
        await gateway.copies.close()
        await gateway.follower.close()

    asyncio.run(main())


async def ask(caller: Caller, user: str = "", text: str = "hi") -> Response:
    body = {"model": "words", "prompt": text, "max_tokens": 400}
    return await caller.post("/v1/completions", body | ({"user": user} if user else {}))


async def side(caller: Caller, user: str) -> str:
    """The bundle that answers a caller."""
    return str((await ask(caller, user)).json["choices"][0]["text"].split()[0])


async def copied(gateway: Gateway) -> None:
    """Wait until no copy is under way."""
    while not gateway.copies.idle:
        await asyncio.gather(*gateway.copies._working)


def shadows(memory: MemoryGateway) -> list[Trace]:
    return [trace for trace in memory.traces.traces if trace.role == "shadow"]


def test_a_caller_stays_on_its_side_and_moves_once_while_the_share_grows() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    canary = memory.release(bundle("new"), role=Role.CANARY, share=0.05)
    users = [f"user {i}" for i in range(120)]

    async def act(caller: Caller, gateway: Gateway) -> None:
        before: set[str] = set()
        for share in (0.05, 0.2, 0.5, 1.0):
            memory.releases[Role.CANARY] = replace(canary, share=share)
            await gateway.follower.look()
            chosen = {user for user in users if await side(caller, user) == "new"}
            assert chosen == {user for user in users if await side(caller, user) == "new"}
            assert before <= chosen
            assert abs(len(chosen) / len(users) - share) < 0.15
            before = chosen
        assert before == set(users)

    serve(memory, act)


def test_callers_are_spread_evenly_and_anew_for_each_bundle() -> None:
    first, second = ([place(f"user {i}", bundle) for i in range(4000)] for bundle in ("one", "two"))
    for share in (0.05, 0.5, 0.9):
        assert sum(at < share for at in first) / 4000 == pytest.approx(share, abs=0.025)
    both = sum(a < 0.5 and b < 0.5 for a, b in zip(first, second, strict=True)) / 4000
    assert both == pytest.approx(0.25, abs=0.025)


def test_a_header_says_who_asks_before_the_body_does() -> None:
    callers = Callers()
    assert callers.name("somebody", "key") == "somebody"
    assert Callers(sticky=False).name("somebody", "key") == ""


def test_keys_are_callers_only_when_there_are_enough_to_keep_a_share_by() -> None:
    callers = Callers()
    named = [callers.name("", f"key {i}") for i in range(FEW + 5)]
    assert named[: FEW - 1] == [""] * (FEW - 1)
    assert named[FEW:] == [f"key {i}" for i in range(FEW, FEW + 5)]
    assert callers.name("", "key 0") == "key 0"


def test_a_canary_whose_engine_is_down_gets_nothing() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    memory.release(bundle("new"), role=Role.CANARY, share=1.0)

    async def act(caller: Caller, gateway: Gateway) -> None:
        assert await side(caller, "a") == "new"
        canary = gateway.follower.routes.lanes[Role.CANARY].running.engine
        canary.healthy = False  # type: ignore[misc]  # an InProcess
        assert await side(caller, "a") == "old"

    serve(memory, act)


def test_a_shadow_answers_copies_that_callers_do_not_see() -> None:
    memory = MemoryGateway()
    stable = memory.release(bundle("old"))
    shadow = memory.release(bundle("new"), role=Role.SHADOW)

    async def act(caller: Caller, gateway: Gateway) -> None:
        answers = [(await ask(caller, text=f"word {i}")).json for i in range(5)]
        assert {answer["kedge"]["bundle"] for answer in answers} == {stable.bundle}
        await copied(gateway)
        copies = shadows(memory)
        assert [copy.parent for copy in copies] == [answer["kedge"]["trace"] for answer in answers]
        assert [copy.answer for copy in copies] == [f"new word {i}" for i in range(5)]
        assert {copy.bundle for copy in copies} == {shadow.bundle}
        assert copies[0].completion_tokens == 3
        assert [trace.role for trace in memory.traces.traces].count("stable") == 5

    serve(memory, act)


def test_a_shadow_gets_the_share_that_it_is_sent() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    memory.release(bundle("new"), role=Role.SHADOW, share=0.3)

    async def act(caller: Caller, gateway: Gateway) -> None:
        gateway.draw.seed(1)
        for _ in range(200):
            await ask(caller)
            await copied(gateway)
        assert 40 <= len(shadows(memory)) <= 80

    serve(memory, act)


def test_a_shadow_that_fails_fails_alone_and_says_why() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    memory.release(bundle("new", context=3), role=Role.SHADOW)

    async def act(caller: Caller, gateway: Gateway) -> None:
        assert (await ask(caller, text="one two three four")).status == 200
        await copied(gateway)
        assert (shadows(memory)[0].status, shadows(memory)[0].answer) == (400, "")
        assert "tokens" in shadows(memory)[0].error
        gateway.follower.routes.lanes[Role.SHADOW].running.engine.healthy = False  # type: ignore[misc]
        assert (await ask(caller)).status == 200
        await copied(gateway)
        assert shadows(memory)[1].status == 503

    serve(memory, act)


def test_no_caller_waits_for_a_shadow() -> None:
    memory = MemoryGateway(settings=GatewaySettings(request_seconds=5))
    memory.release(bundle("old"))
    memory.release(bundle("new"), role=Role.SHADOW)

    async def act(caller: Caller, gateway: Gateway) -> None:
        lane = gateway.follower.routes.lanes[Role.SHADOW].running
        stuck = asyncio.Event()
        answers = lane.engine.ask

        async def ask_late(requests: object) -> object:
            await stuck.wait()
            return await answers(requests)  # type: ignore[arg-type]  # handed on

        lane.engine.ask = ask_late  # type: ignore[method-assign, assignment]  # a shadow that hangs
        for _ in range(400):
            assert (await ask(caller)).status == 200
        assert shadows(memory) == []
        assert gateway.copies.dropped == 400 - 256 - 8
        stuck.set()
        await copied(gateway)
        assert len(shadows(memory)) == 264
        assert lane.busy == 0

    serve(memory, act)


def test_what_is_under_way_is_given_up_at_the_end() -> None:
    async def main() -> None:
        copies = Copies(at_once=2)
        begun: list[int] = []

        async def work(number: int) -> None:
            begun.append(number)
            await asyncio.Event().wait()

        for number in range(5):
            copies.offer(lambda number=number: work(number))  # type: ignore[misc]  # bound for this round
        await asyncio.sleep(0)
        await copies.close()
        assert begun == [0, 1]
        assert copies.idle

    asyncio.run(main())


def test_an_attempt_that_failed_is_kept_with_the_bundle_at_fault() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    canary = memory.release(bundle("new"), role=Role.CANARY, share=1.0)

    async def act(caller: Caller, gateway: Gateway) -> None:
        engine = gateway.follower.routes.lanes[Role.CANARY].running.engine
        answers = engine.ask

        async def fail_once(requests: object) -> object:
            engine.ask = answers  # type: ignore[method-assign]  # the engine is well again
            raise Unavailable("the engine was not there")

        engine.ask = fail_once  # type: ignore[method-assign, assignment]  # an engine that fails
        response = await ask(caller, "a")
        assert (response.status, response.json["kedge"]["bundle"]) == (200, canary.bundle)
        failed, told = memory.traces.traces
        assert (failed.status, failed.role, failed.bundle) == (503, "canary", canary.bundle)
        assert (failed.parent, told.parent, told.status) == (told.id, "", 200)

    serve(memory, act)


def test_feedback_on_a_receipt_is_kept() -> None:
    memory = MemoryGateway()
    stable = memory.release(bundle("old"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        answer = (await ask(caller)).json["kedge"]
        body = {"receipt": answer["receipt"], "value": 0.5, "name": "thumb", "comment": "so so"}
        told = await caller.post("/v1/feedback", body)
        assert (told.status, told.json["trace"]) == (200, answer["trace"])
        assert (await caller.post("/v1/feedback", {"receipt": answer["receipt"], "value": True})).status == 200
        first, second = memory.feedback.said
        assert (first.trace, first.name, first.value, first.comment) == (answer["trace"], "thumb", 0.5, "so so")
        assert (first.by, first.endpoint, first.bundle) == ("key-0", "words", stable.bundle)
        assert (second.name, second.value) == ("rating", 1.0)

    serve(memory, act)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"value": 1.5}, "value"),
        ({"value": "good"}, "value"),
        ({"receipt": "rcpt_none"}, "receipt"),
        ({"receipt": "rcpt_" + "0" * 32 + "_" + "0" * 64 + "_" + "0" * 16}, "receipt"),
        ({"name": "A B"}, "name"),
        ({"comment": "x" * 10_001}, "comment"),
        ({"stars": 5}, "stars"),
    ],
)
def test_feedback_that_cannot_be_taken_names_the_field(change: dict[str, object], param: str) -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        receipt = (await ask(caller)).json["kedge"]["receipt"]
        told = await caller.post("/v1/feedback", {"receipt": receipt, "value": 1} | change)
        assert (told.status, told.json["error"]["param"]) == (400, param)
        assert memory.feedback.said == []

    serve(memory, act)


def test_a_rollout_is_looked_after_and_what_it_decides_is_in_force_at_once() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    looks: list[str] = []

    def look() -> bool:
        looks.append("look")
        if len(looks) == 1:
            raise Unavailable("not now")
        if len(looks) == 2:
            raise RuntimeError("a scorer of a plug-in")
        memory.release(bundle("new"), role=Role.CANARY, share=1.0)
        return True

    memory.watch = look

    async def act(caller: Caller, gateway: Gateway) -> None:
        watching = asyncio.create_task(watch(gateway, 0.001))
        while await side(caller, "a") == "old":
            await gateway.follower.look()
            await asyncio.sleep(0.001)
        watching.cancel()
        assert len(looks) >= 3

    serve(memory, act)


def test_the_side_of_a_request_without_a_caller_is_drawn() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    memory.release(bundle("new"), role=Role.CANARY, share=0.5)

    async def act(caller: Caller, gateway: Gateway) -> None:
        gateway.draw.seed(3)
        assert {await side(caller, "") for _ in range(30)} == {"old", "new"}
        roles = {trace.role for trace in memory.traces.traces}
        assert roles == {"stable", "canary"}
        assert gateway.follower.routes.choose(random.Random(1), "x") is gateway.follower.routes.choose(
            random.Random(2), "x"
        )

    serve(memory, act)
