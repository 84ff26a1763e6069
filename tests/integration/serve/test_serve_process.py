"""Engines in processes of their own: many requests at once, crashes, restarts, and no process left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kedge.core.bundle import Bundle, Sampling
from kedge.core.errors import Invalid, KedgeError, NotFound, Unavailable
from kedge.core.generation import GenerationEvent, GenerationRequest, Likelihood
from kedge.core.spec import Spec
from kedge.serve.link import start_engine
from kedge.serve.supervisor import Patience, Supervisor

PATIENCE = Patience(start=60, restart=30, first_pause=0.01, longest_pause=0.1)


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def alive(pid: int) -> bool:
    """Whether a process runs, a dead one that nobody has waited for aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> set[str]:
    """The processes this one has started, those of other tests' servers among them."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def echo(**flags: object) -> Bundle:
    return Bundle(model="sha256:" + "0" * 64, engine=Spec(name="echo", args=flags))


@asynccontextmanager
async def supervised(folder: Path, **flags: object) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(echo(**flags), folder, patience=PATIENCE)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.close()


def request(id: str, prompt: str, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(id=id, prompt=prompt, sampling=Sampling(**sampling))


async def answer(supervisor: Supervisor, *requests: GenerationRequest) -> list[GenerationEvent]:
    answering = await supervisor.ask(requests)
    events: list[GenerationEvent] = []
    try:
        while got := await answering.next():
            events += got
    finally:
        answering.close()
    return events


async def text(supervisor: Supervisor, id: str, prompt: str) -> str:
    return "".join(event.text for event in await answer(supervisor, request(id, prompt)))


def test_many_requests_share_one_process(tmp_path: Path) -> None:
    async def main() -> None:
        async with supervised(tmp_path) as supervisor:
            prompts = {str(i): f"question {i} of many" for i in range(200)}
            answers = await asyncio.gather(*(text(supervisor, name, prompt) for name, prompt in prompts.items()))
            assert answers == list(prompts.values())
            assert supervisor.waiting == 0

    run(main())


def test_an_answer_left_early_is_cancelled_in_the_engine(tmp_path: Path) -> None:
    async def main() -> None:
        async with supervised(tmp_path, delay=0.01) as supervisor:
            answering = await supervisor.ask([request("long", "word " * 400, max_tokens=400)])
            await answering.next()
            answering.close()
            assert await answering.next() == []
            assert await asyncio.wait_for(text(supervisor, "next", "one two"), 10) == "one two"

    run(main())


def test_a_killed_engine_fails_what_is_in_flight_and_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        restarts = []
        supervisor = Supervisor(
            echo(delay=0.02), tmp_path, patience=PATIENCE, restarted=lambda: restarts.append(time.monotonic())
        )
        await supervisor.start()
        in_flight = [asyncio.create_task(text(supervisor, str(i), "word " * 300)) for i in range(8)]
        await asyncio.sleep(0.2)
        os.kill(supervisor.pid, signal.SIGKILL)
        errors = await asyncio.gather(*in_flight, return_exceptions=True)
        assert all(isinstance(error, Unavailable) for error in errors)
        assert await text(supervisor, "next", "all is well") == "all is well"
        assert len(restarts) == 1
        await supervisor.close()

    run(main())


async def failure(supervisor: Supervisor, said: str) -> bool:
    """Ask until the error says so."""
    for i in range(1000):
        try:
            await text(supervisor, str(i), "x")
        except Unavailable as error:
            if said in error.message:
                return True
        await asyncio.sleep(0.01)
    return False


def test_an_engine_that_never_comes_back_is_said_to_be_failing(tmp_path: Path) -> None:
    async def main() -> None:
        supervisor = Supervisor(echo(), tmp_path, patience=PATIENCE)
        await supervisor.start()
        supervisor._bundle = Bundle(model="x", engine=Spec(name="gone"))
        os.kill(supervisor.pid, signal.SIGKILL)
        assert await failure(supervisor, "keeps failing")
        assert not supervisor.healthy
        await supervisor.close()

    run(main())


@pytest.mark.parametrize(
    ("engine", "error"), [("nothing", NotFound), ("transformers", Invalid)], ids=["unknown engine", "no model"]
)
def test_a_bundle_that_cannot_load_says_why(tmp_path: Path, engine: str, error: type[KedgeError]) -> None:
    async def main() -> None:
        with pytest.raises(error):
            await start_engine(Bundle(model="x", engine=Spec(name=engine)), tmp_path, seconds=60)

    run(main())


def test_a_bundle_that_takes_too_long_is_given_up_and_leaves_no_process(tmp_path: Path) -> None:
    async def main() -> None:
        before = children()
        with pytest.raises(Unavailable, match="did not load within"):
            await start_engine(echo(), tmp_path, seconds=0.0)
        assert children() <= before

    run(main())


def test_likelihoods_come_over_the_socket(tmp_path: Path) -> None:
    async def main() -> None:
        link = await start_engine(echo(), tmp_path, seconds=60)
        assert await link.score("s", [("one two", "two")]) == [Likelihood(logprob=0.0, tokens=1)]
        await link.close()
        with pytest.raises(Unavailable):
            await link.score("s", [("one two", "two")])

    run(main())


def test_closing_ends_the_process_and_what_is_unfinished(tmp_path: Path) -> None:
    async def main() -> None:
        async with supervised(tmp_path, delay=0.02) as supervisor:
            pid = supervisor.pid
            unfinished = asyncio.create_task(text(supervisor, "long", "word " * 300))
            await asyncio.sleep(0.1)
        with pytest.raises(Unavailable):
            await unfinished
        assert not alive(pid)

    run(main())


def test_an_engine_ignores_signals_meant_for_the_gateway_and_dies_with_it(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from kedge.core.bundle import Bundle
from kedge.core.spec import Spec
from kedge.serve.supervisor import Supervisor

async def main():
    supervisor = Supervisor(Bundle(model="x", engine=Spec(name="echo")), Path({str(tmp_path)!r}))
    await supervisor.start()
    print(supervisor.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        engine = int(gateway.stdout.readline())
        os.kill(engine, signal.SIGINT)
        os.kill(engine, signal.SIGTERM)
        time.sleep(0.3)
        assert alive(engine)
        gateway.kill()
    deadline = time.monotonic() + 5
    while alive(engine) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(engine)
