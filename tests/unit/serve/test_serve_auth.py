"""Keys: who comes in, how soon a revocation holds, and what happens without a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from kedge.core.access import Key, Scope
from kedge.core.bundle import Bundle
from kedge.core.errors import Unavailable
from kedge.core.spec import Spec
from kedge.serve.gateway.auth import KeyRing
from kedge.testing.gateway import KEY, Caller, MemoryGateway, hash_key

BODY = {"model": "words", "prompt": "hi"}
PATHS = [
    ("POST", "/v1/completions"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/words"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("DELETE", "/v1/models/words"),
]


def serve(memory: MemoryGateway, act: Callable[[Caller], Awaitable[None]]) -> None:
    memory.release(Bundle(model="x", engine=Spec(name="echo")))

    async def main() -> None:
        gateway = memory.assemble()
        await gateway.follower.start()
        await act(Caller(gateway))

    asyncio.run(main())


@pytest.mark.parametrize("key", ["", "kdg_short", "sk-" + "x" * 46, "kdg_" + "z" * 43, KEY + "x", "' OR 1=1 --"])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_route_but_health_needs_a_valid_key(key: str, method: str, path: str) -> None:
    memory = MemoryGateway()
    memory.add_key(scopes=(Scope.ADMIN,))

    async def act(caller: Caller) -> None:
        response = await caller.send(method, path, b"{}", key=key)
        assert response.status == 401
        assert response.json["error"]["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"
        assert key == "" or key not in response.body.decode()

    serve(memory, act)


def test_a_key_opens_only_what_its_scopes_say() -> None:
    memory = MemoryGateway()
    memory.add_key(KEY, scopes=(Scope.ASK,))
    meter = "kdg_" + "m" * 43
    memory.add_key(meter, scopes=(Scope.METRICS,))

    async def act(caller: Caller) -> None:
        assert (await caller.post("/v1/completions", BODY)).status == 200
        refused = await caller.get("/metrics")
        assert (refused.status, refused.json["error"]["type"]) == (403, "permission_error")
        assert (await caller.get("/metrics", key=meter)).status == 200
        assert (await caller.post("/v1/completions", BODY, key=meter)).status == 403

    serve(memory, act)


def test_an_expired_key_is_refused() -> None:
    memory = MemoryGateway()
    key = memory.add_key()
    memory.keys[0] = replace(key, expires=memory.clock.now() + timedelta(seconds=10))

    async def act(caller: Caller) -> None:
        assert (await caller.get("/v1/models")).status == 200
        memory.clock.advance(10)
        assert (await caller.get("/v1/models")).status == 401

    serve(memory, act)


def test_without_a_ledger_nobody_comes_in() -> None:
    memory = MemoryGateway()
    memory.add_key()

    async def act(caller: Caller) -> None:
        memory.down = Unavailable("the ledger is gone")
        assert (await caller.get("/v1/models")).status == 503
        memory.down = None
        assert (await caller.get("/v1/models")).status == 200

    serve(memory, act)


class Lookups:
    """A key ring over a memory gateway with its own time, and a count of look-ups."""

    def __init__(self, memory: MemoryGateway) -> None:
        self.memory = memory
        self.now = 100.0
        self.count = 0
        self.ring = KeyRing(self.find, hash_key, clock=memory.clock, time=lambda: self.now)

    def find(self, hash: str) -> Key | None:
        self.count += 1
        return self.memory.find_key(hash)

    async def knows(self, secret: str = KEY) -> bool:
        return await self.ring._look_up(hash_key(secret)) in self.memory.keys


def test_a_key_is_looked_up_once_a_second_and_a_revocation_holds_after_that() -> None:
    async def main() -> None:
        lookups = Lookups(MemoryGateway())
        key = lookups.memory.add_key()
        assert all(await asyncio.gather(*(lookups.knows() for _ in range(20))))
        assert lookups.count == 1
        lookups.memory.revoke(key)
        lookups.now += 0.9
        found = await lookups.ring._look_up(hash_key(KEY))
        assert found is not None
        assert found.revoked is None
        lookups.now += 0.2
        found = await lookups.ring._look_up(hash_key(KEY))
        assert found is not None
        assert found.revoked is not None
        assert lookups.count == 2

    asyncio.run(main())


def test_wrong_keys_do_not_fill_the_memory() -> None:
    async def main() -> None:
        lookups = Lookups(MemoryGateway())
        for i in range(5000):
            lookups.ring._known[str(i)] = (0.0, None)
        await lookups.knows()
        for i in range(1000):
            await lookups.knows(f"kdg_{i:043}")
        assert len(lookups.ring._known) <= 5001

    asyncio.run(main())
