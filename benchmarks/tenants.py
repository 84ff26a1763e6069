"""Whether one tenant can tell by the clock what another one has asked before.

    python benchmarks/tenants.py [--probes 2000]

A victim's tenant asks half of the probes first; then an attacker of another tenant asks all of them, in random order,
and ranks them by the time that each answer took. The area under the ROC curve of that ranking says how well it tells
the victim's questions from the others: 0.5 is a coin, 1 is certainty. The same attacker with a key of the victim's own
tenant shows that there is something to be seen. Exact and semantic cache are on, the engine takes some milliseconds.
Exits 1 if the attacker of another tenant gets more than 0.55, or is ever told of a hit.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from typing import Literal

import uvloop

from kedge.core.access import Terms
from kedge.core.bundle import Bundle
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest
from kedge.core.settings import CacheSettings, EndpointSettings
from kedge.core.spec import Spec
from kedge.serve.answers import Answering
from kedge.serve.gateway.routing import Running
from kedge.testing.gateway import Caller, MemoryGateway

TARGET = 0.55
PATH = "/v1/chat/completions"
VICTIM, ATTACKER, INSIDER = (f"kdg_{letter * 43}" for letter in "vai")
SECONDS = (0.002, 0.004)  # that an answer takes


class Slow:
    """An engine that takes some milliseconds."""

    facts = EngineFacts(name="slow")
    healthy = True
    waiting = 0

    def __init__(self) -> None:
        self._draw = random.Random(7)

    async def ask(self, requests: Sequence[GenerationRequest]) -> Answering:
        """After a while."""
        answering = Answering([request.id for request in requests], lambda ids: None)
        loop = asyncio.get_running_loop()
        for request in requests:
            event = GenerationEvent(id=request.id, text="An answer.", finish="stop", completion_tokens=3)
            loop.call_later(self._draw.uniform(*SECONDS), answering.put, event)
        return answering

    async def close(self) -> None:
        """Nothing."""


class SlowGateway(MemoryGateway):
    """A gateway before that engine."""

    async def launch(self, digest: str) -> Running:
        """At once."""
        return Running(digest=digest, bundle=Bundle(model="x", engine=Spec(name="slow")), engine=Slow())


def auc(hits: Sequence[float], misses: Sequence[float]) -> float:
    """How often a time among the misses is longer than one among the hits: the Mann-Whitney statistic by its pairs."""
    ranked = sorted([(seconds, 0) for seconds in hits] + [(seconds, 1) for seconds in misses])
    ranks = sum(rank for rank, (_, missed) in enumerate(ranked, 1) if missed)
    return (ranks - len(misses) * (len(misses) + 1) / 2) / (len(hits) * len(misses))


async def probe(probes: int, mode: Literal["exact", "semantic"], attacker: str) -> tuple[float, int]:
    """The attacker's area under the curve, and how often the gateway said that it had the answer."""
    memory = SlowGateway(serving=EndpointSettings(model="words", cache=CacheSettings(mode=mode)))
    for secret, tenant in ((VICTIM, "victim"), (ATTACKER, "attacker"), (INSIDER, "victim")):
        memory.add_key(secret, terms=Terms(tenant=tenant))
    memory.release(Bundle(model="x"))
    gateway = memory.assemble()
    await gateway.follower.start()
    caller = Caller(gateway)
    draw = random.Random(11)
    questions = [f"Question {number} of the {draw.getrandbits(64):x}" for number in range(probes)]
    known = set(draw.sample(range(probes), probes // 2))

    async def ask(number: int, key: str) -> tuple[float, bool]:
        messages = [{"role": "user", "content": questions[number]}]
        began = time.perf_counter()
        response = await caller.post(PATH, {"model": "words", "messages": messages, "temperature": 0}, key=key)
        assert response.status == 200, response.body
        return time.perf_counter() - began, response.headers["x-kedge-cache"] != "miss"

    for number in known:
        await ask(number, VICTIM)
    order = draw.sample(range(probes), probes)
    took = {number: await ask(number, attacker) for number in order}
    hits = [took[number][0] for number in known]
    misses = [took[number][0] for number in order if number not in known]
    await gateway.follower.close()
    return auc(hits, misses), sum(told for _, told in took.values())


def main() -> int:
    """Measure both caches, from outside and from inside."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--probes", type=int, default=2000)
    probes = parser.parse_args().probes
    failed = False
    modes: tuple[Literal["exact", "semantic"], ...] = ("exact", "semantic")
    for mode in modes:
        other, told = uvloop.run(probe(probes, mode, ATTACKER))
        own, _ = uvloop.run(probe(probes, mode, INSIDER))
        failed |= other > TARGET or told > 0
        print(f"{mode:8} another tenant: AUC {other:.3f} (at most {TARGET}), told of {told} hits; its own: {own:.3f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
