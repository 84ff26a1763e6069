"""A gateway follows what is released: it swaps without failing a request, and goes on when a bundle cannot load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kedge.core.bundle import Bundle
from kedge.core.errors import Broken, Unavailable
from kedge.core.release import Release, Role
from kedge.core.spec import Spec
from kedge.serve.gateway.health import Pulse
from kedge.serve.gateway.parts import Gateway
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
        await gateway.follower.close()

    asyncio.run(main())


async def ask(caller: Caller, text: str = "hi") -> Response:
    return await caller.post("/v1/completions", {"model": "words", "prompt": text, "max_tokens": 400})


async def who(caller: Caller) -> str:
    """The name of the bundle that answers."""
    return str((await ask(caller)).json["choices"][0]["text"].split()[0])


async def settle(gateway: Gateway) -> None:
    """Look, let what is launched load, and look again."""
    await gateway.follower.look()
    for _ in range(5):
        await asyncio.sleep(0)
    await gateway.follower.look()


def test_a_new_release_answers_and_the_receipt_says_so() -> None:
    memory = MemoryGateway()
    memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        assert await who(caller) == "a"
        sent = memory.release(bundle("b"))
        assert await who(caller) == "a"
        await settle(gateway)
        response = (await ask(caller)).json
        assert response["choices"][0]["text"] == "b hi"
        assert response["kedge"]["bundle"] == sent.bundle
        assert response["model"] == "words@2"

    serve(memory, act)


def test_no_request_fails_while_bundles_change_under_them() -> None:
    memory = MemoryGateway()
    memory.release(bundle("a", delay=0.0005))

    async def act(caller: Caller, gateway: Gateway) -> None:
        statuses: list[int] = []
        swapping = True

        async def load() -> None:
            while swapping:
                statuses.append((await ask(caller, "word " * 20)).status)

        callers = [asyncio.create_task(load()) for _ in range(8)]
        for i in range(20):
            memory.release(bundle(f"v{i}", delay=0.0005))
            await settle(gateway)
        swapping = False
        await asyncio.gather(*callers)
        assert await who(caller) == "v19"
        assert set(statuses) == {200}
        assert len(statuses) > 40

    serve(memory, act)


def test_an_answer_under_way_is_finished_by_the_bundle_that_began_it() -> None:
    memory = MemoryGateway()
    memory.release(bundle("a", delay=0.002))

    async def act(caller: Caller, gateway: Gateway) -> None:
        slow = asyncio.create_task(ask(caller, "word " * 60))
        await asyncio.sleep(0.02)
        for name in ("b", "c", "d"):
            memory.release(bundle(name))
            await settle(gateway)
        assert await who(caller) == "d"
        assert not memory.engines[0].engine.closed  # type: ignore[attr-defined]  # an EchoEngine
        response = await slow
        assert response.json["choices"][0]["text"].startswith("a word")
        for _ in range(3):
            await asyncio.sleep(0)
        assert memory.engines[0].engine.closed  # type: ignore[attr-defined]  # an EchoEngine

    serve(memory, act)


def test_the_bundle_before_is_kept_warm_for_a_rollback_and_older_ones_are_closed() -> None:
    memory = MemoryGateway()
    first = memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        memory.release(bundle("b"))
        await settle(gateway)
        memory.releases[Role.STABLE] = first
        await gateway.follower.look()
        assert await who(caller) == "a"
        assert len(memory.engines) == 2
        memory.release(bundle("c"))
        await settle(gateway)
        await asyncio.sleep(0)
        assert [e.engine.closed for e in memory.engines] == [False, True, False]  # type: ignore[attr-defined]

    serve(memory, act)


def test_a_bundle_that_cannot_load_changes_nothing_but_what_the_gateway_says() -> None:
    memory = MemoryGateway()
    memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        pulse = Pulse(gateway, "http://here")
        await pulse.beat()
        broken = memory.release(Broken("the weights are not complete"))
        await settle(gateway)
        assert await who(caller) == "a"
        await pulse.beat()
        good = memory.release(bundle("c"))
        await settle(gateway)
        assert await who(caller) == "c"
        await pulse.beat()
        before, during, after = memory.beats
        assert (before.healthy, before.detail) == (True, "")
        assert (during.healthy, during.detail) == (True, "the weights are not complete")
        assert during.bundle == before.bundle != broken.bundle
        assert (after.detail, after.bundle) == ("", good.bundle)

    serve(memory, act)


def test_a_bundle_that_failed_is_tried_again_after_longer_pauses() -> None:
    memory = MemoryGateway()
    memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        now = 0.0
        gateway.follower._time = lambda: now
        broken = memory.release(Unavailable("no memory"))
        await settle(gateway)
        await settle(gateway)
        assert gateway.follower._failed[broken.bundle].again == 1.0
        now = 1.0
        await settle(gateway)
        assert gateway.follower._failed[broken.bundle].again == 3.0
        memory.bundles[broken.bundle] = bundle("b")
        now = 3.0
        await settle(gateway)
        assert await who(caller) == "b"
        assert gateway.follower.trouble == ""

    serve(memory, act)


def test_a_rollback_does_not_wait_for_a_bundle_that_is_still_loading() -> None:
    memory = MemoryGateway()
    first = memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        launch = memory.launch
        never = asyncio.Event()

        async def hang(digest: str) -> object:
            await never.wait()
            return await launch(digest)

        object.__setattr__(gateway.ports, "launch", hang)
        slow = memory.release(bundle("slow"))
        await settle(gateway)
        assert slow.bundle in gateway.follower._launching
        memory.releases[Role.STABLE] = first
        await settle(gateway)
        assert gateway.follower._launching == {}
        assert await who(caller) == "a"

    serve(memory, act)


def test_a_ledger_that_is_gone_leaves_the_gateway_serving() -> None:
    memory = MemoryGateway()
    memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        assert await who(caller) == "a"
        memory.down = Unavailable("the ledger is gone")
        await gateway.follower.look()
        assert await who(caller) == "a"
        assert "the ledger is gone" in gateway.follower.trouble
        memory.down = None
        await gateway.follower.look()
        assert gateway.follower.trouble == ""

    serve(memory, act)


def test_without_a_release_the_gateway_waits_for_the_first() -> None:
    memory = MemoryGateway()

    async def act(caller: Caller, gateway: Gateway) -> None:
        response = await ask(caller)
        assert (response.status, response.json["error"]["code"]) == (503, "engine_unavailable")
        assert (await caller.get("/health")).status == 503
        await Pulse(gateway, "u").beat()
        assert memory.beats[0].detail == "nothing is released to this endpoint yet"
        memory.release(bundle("a"))
        await settle(gateway)
        assert await who(caller) == "a"

    serve(memory, act)


def test_a_gateway_whose_first_bundle_cannot_load_does_not_start() -> None:
    memory = MemoryGateway()
    memory.release(Broken("the weights are not complete"))

    async def main() -> None:
        with pytest.raises(Broken, match="not complete"):
            await memory.assemble().follower.start()

    asyncio.run(main())


def test_a_canary_gets_its_share_and_is_reached_by_its_version() -> None:
    memory = MemoryGateway()
    memory.release(bundle("old"))
    memory.release(bundle("new"), role=Role.CANARY, share=0.25)

    async def act(caller: Caller, gateway: Gateway) -> None:
        gateway.draw.seed(0)
        said = [await who(caller) for _ in range(400)]
        assert 60 < said.count("new") < 140
        exact = await caller.post("/v1/completions", {"model": "words@2", "prompt": "hi"})
        assert exact.json["choices"][0]["text"] == "new hi"
        ended = Release(**{f: getattr(memory.releases[Role.CANARY], f) for f in Release.__slots__} | {"share": 0.0})
        memory.releases[Role.CANARY] = ended
        await settle(gateway)
        assert {await who(caller) for _ in range(20)} == {"old"}

    serve(memory, act)


def test_the_same_bundle_released_again_is_not_loaded_again() -> None:
    memory = MemoryGateway()
    first = memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        again = Release(**{f: getattr(first, f) for f in Release.__slots__} | {"id": 9, "version": 5})
        memory.releases[Role.STABLE] = again
        await settle(gateway)
        assert (await ask(caller)).json["model"] == "words@5"
        assert len(memory.engines) == 1

    serve(memory, act)


def test_a_failure_to_load_that_was_not_foreseen_is_a_failure_too(caplog: pytest.LogCaptureFixture) -> None:
    memory = MemoryGateway()
    memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        broken = memory.release(bundle("b"))
        del memory.bundles[broken.bundle]
        await settle(gateway)
        assert await who(caller) == "a"
        assert gateway.follower.trouble.startswith("KeyError")

    serve(memory, act)
    assert "not foreseen" in caplog.text


def test_a_bundle_that_loads_after_it_was_taken_back_is_closed() -> None:
    memory = MemoryGateway()
    first = memory.release(bundle("a"))

    async def act(caller: Caller, gateway: Gateway) -> None:
        memory.release(bundle("b"))
        await gateway.follower.look()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        memory.releases[Role.STABLE] = first
        await settle(gateway)
        await asyncio.sleep(0)
        assert list(gateway.follower._running) == [first.bundle]
        assert [e.engine.closed for e in memory.engines] == [False, True]  # type: ignore[attr-defined]

    serve(memory, act)
