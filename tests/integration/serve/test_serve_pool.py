"""Several engine processes behind one door: sharing, waiting, refusing, growing, shrinking, and being killed or hung."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import KedgeError, Unavailable
from kedge.core.generation import GenerationRequest
from kedge.core.settings import ReplicaSettings
from kedge.core.spec import Spec
from kedge.serve.answers import Answering, Busy
from kedge.serve.pool import Pool
from kedge.serve.supervisor import Patience, Supervisor

BEGINNING = "the-same-long-beginning-" * 40


def echo(**flags: object) -> Bundle:
    return Bundle(model="sha256:" + "0" * 64, engine=Spec(name="echo", args={"context": 4096, **flags}))


@asynccontextmanager
async def pool(
    folder: Path, settings: ReplicaSettings, *, silence: float = 60.0, **flags: object
) -> AsyncIterator[Pool]:
    def make() -> Supervisor:
        return Supervisor(echo(**flags), folder, patience=Patience(silence=silence))

    made = Pool(make, settings)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def request(id: str, prompt: str = "one two", max_tokens: int = 4000) -> GenerationRequest:
    return GenerationRequest(id=id, prompt=prompt, sampling=Sampling(max_tokens=max_tokens))


async def text(answering: Answering) -> str:
    return "".join(event.text for event in await answering.rest())


async def ask(pool: Pool, id: str, prompt: str = "one two") -> str:
    return await text(await pool.ask([request(id, prompt)]))


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what happens in other processes sets no event here
            await asyncio.sleep(0.01)


async def begun(answering: Answering) -> Answering:
    await until(lambda: answering.began > 0)
    return answering


def test_requests_are_shared_among_the_replicas(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(min=2, max=2, concurrent=4), delay=0.01) as two:
            asked = [await two.ask([request(str(i), f"{i} " + "word " * 50)]) for i in range(8)]
            assert sorted(replica.busy for replica in two._replicas) == [4, 4]
            assert [await text(each) for each in asked] == [(f"{i} " + "word " * 50).strip() for i in range(8)]
            assert [replica.busy for replica in two._replicas] == [0, 0]
            assert len(two.pids) == two.size == 2

    asyncio.run(go())


def test_a_conversation_goes_to_the_engine_that_knows_it(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(min=2, max=2), delay=0.005) as two:
            places = set()
            for turn in range(6):
                answering = await two.ask([request(str(turn), BEGINNING + str(turn))])
                places.add(next(replica.number for replica in two._replicas if replica.busy))
                await text(answering)
            assert len(places) == 1
            many = [await two.ask([request(f"many-{i}", BEGINNING)]) for i in range(40)]
            assert min(replica.busy for replica in two._replicas) >= 12  # but not when that one is clearly busier
            for answering in many:
                answering.close()

    asyncio.run(go())


def test_what_does_not_fit_waits_its_turn(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(concurrent=1), delay=0.005) as one:
            answers = [await one.ask([request(str(i), f"{i} one two three")]) for i in range(5)]
            assert one.waiting >= 4
            assert [await text(each) for each in answers] == [f"{i} one two three" for i in range(5)]
            assert one.waiting == 0

    asyncio.run(go())


def test_who_goes_away_while_waiting_costs_no_engine_anything(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(concurrent=1), delay=0.005) as one:
            first = await begun(await one.ask([request("first", "word " * 2000)]))
            gone = await one.ask([request("gone")])
            late = await one.ask([request("late")])
            gone.close()
            late.fail(Unavailable("too late"))
            after = await one.ask([request("after")])
            assert len(one._queue) == 1
            first.close()
            assert await text(after) == "one two"

    asyncio.run(go())


def test_a_queue_that_would_take_too_long_is_refused_with_the_time_to_wait(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(concurrent=1, queue_seconds=0.2), delay=0.02) as one:
            for i in range(5):
                await ask(one, f"pace-{i}", "a b c")  # about 80 ms each
            asked = [one.ask([request(str(i), "a b c")]) for i in range(50)]
            taken = await asyncio.gather(*asked, return_exceptions=True)
            waiting = [each for each in taken if isinstance(each, Answering)]
            refused = [each for each in taken if isinstance(each, Busy)]
            assert 1 <= len(waiting) < 10
            assert len(waiting) + len(refused) == 50
            assert all(each.seconds > 0.2 for each in refused)
            assert [await text(each) for each in waiting] == ["a b c"] * len(waiting)
            assert await ask(one, "later") == "one two"

    asyncio.run(go())


def test_waiting_requests_call_for_more_engines_and_quiet_lets_them_go(tmp_path: Path) -> None:
    async def go() -> None:
        settings = ReplicaSettings(min=1, max=2, concurrent=1, up_seconds=0.0, down_seconds=0.3)
        async with pool(tmp_path, settings, delay=0.01) as few:
            asked = [await few.ask([request(str(i), "word " * 3000)]) for i in range(3)]
            await until(lambda: few.size == 2)
            assert len(few.pids) == 2
            for answering in asked:
                answering.close()
            await until(lambda: few.size == 1 and len(few.pids) == 1)
            assert await ask(few, "again") == "one two"

    asyncio.run(go())


def test_an_endpoint_that_nobody_asks_holds_no_process_and_wakes(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(min=0, max=1, down_seconds=0.2)) as none:
            pid = none.pids[0]
            await until(lambda: none.size == 0 and not _alive(pid))
            assert none.healthy
            assert none.facts.context == 4096
            assert await ask(none, "wake up") == "one two"
            assert none.size == 1

    asyncio.run(go())


def test_a_killed_engine_fails_only_what_it_was_answering(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(min=2, max=2, concurrent=4), delay=0.01) as two:
            asked = [await two.ask([request(str(i), f"{i} " + "word " * 60)]) for i in range(8)]
            for answering in asked:
                await begun(answering)
            os.kill(two.pids[0], signal.SIGKILL)
            ends = await asyncio.gather(*(text(each) for each in asked), return_exceptions=True)
            failed = [end for end in ends if isinstance(end, KedgeError)]
            assert len(failed) == 4
            assert all(isinstance(error, Unavailable) and "stopped while" in error.message for error in failed)
            assert await ask(two, "next") == "one two"
            await until(lambda: len(two.pids) == 2)

    asyncio.run(go())


def test_an_engine_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(), silence=0.5, delay=0.005) as one:
            answering = await begun(await one.ask([request("hangs", "word " * 3000)]))
            pid = one.pids[0]
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(Unavailable):
                await asyncio.wait_for(text(answering), 60)
            await until(lambda: not _alive(pid))
            assert await asyncio.wait_for(ask(one, "next"), 60) == "one two"

    asyncio.run(go())


def test_what_waits_for_a_restart_is_answered_after_it(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings()) as one:
            os.kill(one.pids[0], signal.SIGKILL)
            await until(lambda: not one.healthy)
            assert await asyncio.wait_for(ask(one, "next"), 60) == "one two"

    asyncio.run(go())


def test_a_bundle_that_cannot_load_is_no_pool(tmp_path: Path) -> None:
    async def go() -> None:
        bundle = Bundle(model="x", engine=Spec(name="transformers"))
        broken = Pool(lambda: Supervisor(bundle, tmp_path / "nothing"), ReplicaSettings(min=2, max=2))
        with pytest.raises(KedgeError, match="not a folder"):
            await broken.start()
        await broken.close()

    asyncio.run(go())


def test_closing_fails_what_waits_and_what_is_answered(tmp_path: Path) -> None:
    async def go() -> None:
        async with pool(tmp_path, ReplicaSettings(concurrent=1), delay=0.01) as one:
            asked = [await one.ask([request(str(i), "word " * 3000)]) for i in range(2)]
            pid = one.pids[0]
            await one.close()
            for answering in asked:
                with pytest.raises(Unavailable, match="stopped"):
                    await text(answering)
            with pytest.raises(Unavailable):
                await one.ask([request("more")])
            assert not _alive(pid)

    asyncio.run(go())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
