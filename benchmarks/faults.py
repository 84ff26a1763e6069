# ruff: noqa: ASYNC110 - what happens in other processes sets no event here
"""What an endpoint bears under load: engines killed, bundles swapped, the gateway told to stop.

    python benchmarks/faults.py                                     # at most twenty minutes, fifteen of them for swaps
    python benchmarks/faults.py --kills 3 --swaps 20 --drains 2     # a quick look

kill -9 of one of two engines: only what was in flight on it fails, each with an error that says so, and the next answer to
a request made after the kill comes within two seconds. A hot swap of the bundle, from one to the next of three, so that
each is loaded and warmed anew: no request fails, and each answer is wholly one bundle's. SIGTERM with streams under way: each
is finished, and the exit code is 0. The engine has no model (`echo`): what is proven is the gateway's. The swaps are made
once more with adapters of a small trained model, which one process of the engine transformers takes in and lets go. What
fails is counted by status and code. Swaps that `--minutes` did not suffice for count as a target missed. The last line is a
JSON object; the exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedge.core.bundle import Bundle, Sampling
from kedge.core.model import ModelVersion
from kedge.core.spec import Spec
from kedge.testing.models import write_tiny_adapter, write_tiny_model
from kedge.testing.serving import Caller, Gateway, Got, Line, calling, make_line, percentile, serving

CALLERS = 16
WORDS = "word " * 20
SHORT = "one two"
PAUSE = 0.02  # of each caller while bundles are swapped: engines that start need some of the cores


def echo(line: Line, name: str, *, delay: float = 0.005) -> ModelVersion:
    """A bundle that says its name before every answer."""
    engine = Spec(name="echo", args={"prefix": f"{name} ", "delay": delay})
    return line.register(Bundle(model="", engine=engine, sampling=Sampling(max_tokens=64)))


@asynccontextmanager
async def load(caller: Caller, got: list[Got], prompt: str = WORDS, *, pause: float = 0.0) -> AsyncIterator[None]:
    """Callers that ask one after another, half of them in streams, until the end of the block."""
    over = asyncio.Event()

    async def loop(number: int) -> None:
        ask = caller.ask if number % 2 else caller.whole
        while not over.is_set():
            got.append(await ask(prompt, tokens=64))
            await asyncio.sleep(pause)

    tasks = [asyncio.create_task(loop(number)) for number in range(CALLERS)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


def failed(got: Sequence[Got]) -> list[Got]:
    """What was not answered wholly."""
    return [each for each in got if each.status != 200 or each.error or not each.finished]


def kinds(got: Sequence[Got]) -> dict[str, int]:
    """What failed, counted by status and error code."""
    return dict(Counter(f"{each.status} {_code(each.error)}" for each in failed(got)).most_common())


def _code(error: str) -> str:
    """The code in an error's body, or in what a stream said of it."""
    named = re.search(r"""['"]code['"]: ?['"](\w+)""", error)
    return named[1] if named else error[:80] or "ended early"


async def kill(folder: Path, kills: int) -> dict[str, Any]:
    """Kill one of two engines again and again."""
    line = make_line(folder, "replicas = { min = 2, max = 2 }\n")
    line.promote(echo(line, "a"))
    within, per_kill, unclear, late, answered = [], [], 0, 0, 0
    broken: Counter[str] = Counter()
    with serving(line) as gateway:
        async with calling(line, gateway.url) as caller:
            for _ in range(kills):
                await until(lambda: len(gateway.engines()) == 2)
                got: list[Got] = []
                async with load(caller, got):
                    await asyncio.sleep(0.5)
                    at = time.perf_counter()
                    os.kill(gateway.engines()[0], signal.SIGKILL)
                    await until(lambda: any(each.began > at and each.status == 200 for each in got))  # noqa: B023
                    await asyncio.sleep(0.3)
                missed = failed(got)
                broken.update(kinds(got))
                per_kill.append(len(missed))
                late += sum(each.began > at + 0.05 for each in missed)
                unclear += sum("stopped while it was answering" not in each.error for each in missed)
                within.append(min(each.began + each.seconds - at for each in got if each.began > at and each.finished))
                answered += len(got) - len(missed)
    line.project.close()
    return {
        "kills": kills,
        "answered": answered,
        "failed_per_kill_most": max(per_kill),
        "failed_by_kind": dict(broken),
        "in_flight": CALLERS,
        "unclear_errors": unclear,
        "failed_that_came_later": late,
        "next_success_s_most": round(max(within), 3),
        "next_success_s_median": round(percentile(within, 0.5), 3),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A version, and the whole answer that it alone gives to the prompt."""

    version: ModelVersion
    answer: str


def echoes(line: Line) -> list[Voice]:
    """Three bundles whose engine has no model: each is a process of its own."""
    return [Voice(version=echo(line, name, delay=0.001), answer=f"{name} {WORDS.strip()}") for name in "abc"]


def adapters(line: Line) -> list[Voice]:
    """Three adapters of a small trained model, which one process of the engine transformers serves side by side."""
    root = line.project.root
    write_tiny_model(root / "tiny")
    voices = []
    for rest in (" buckle my shoe", " is a pair of three", " café"):
        folder = root / rest.split()[0]
        write_tiny_adapter(root / "tiny", folder, says=SHORT + rest)
        model, engine = line.store(folder), Spec(name="transformers", args={"threads": 1})
        bundle = Bundle(model=model.digest, engine=engine, sampling=Sampling(max_tokens=64))
        voices.append(Voice(version=line.register(bundle, model), answer=rest))
    return voices


async def swap(
    folder: Path, make: Callable[[Line], list[Voice]], prompt: str, *, swaps: int, seconds: float
) -> dict[str, Any]:
    """Put one bundle after another in force, as many times as asked or as the time allows."""
    line = make_line(folder, "\n[gateway]\npoll_seconds = 0.02\n")
    voices = make(line)
    line.promote(voices[0].version)
    got: list[Got] = []
    took: list[float] = []
    with serving(line) as gateway:
        async with calling(line, gateway.url) as caller, load(caller, got, prompt, pause=PAUSE):
            over = time.perf_counter() + seconds
            while len(took) < swaps and time.perf_counter() < over:
                voice = voices[(len(took) + 1) % len(voices)]
                began = time.perf_counter()
                await asyncio.to_thread(line.promote, voice.version)
                while (await caller.whole(prompt, tokens=64)).text != voice.answer:
                    await asyncio.sleep(0.01)
                took.append(time.perf_counter() - began)
                if len(took) % 50 == 0:
                    said = f"{len(took)} swaps, {len(got)} answers, failed: {kinds(got)}"
                    print(said, file=sys.stderr, flush=True)
    line.project.close()
    answers = {voice.answer for voice in voices}
    return {
        "swaps": len(took),
        "answered": len(got),
        "failed": len(failed(got)),
        "failed_by_kind": kinds(got),
        "mixed_up": sum(each.text not in answers for each in got if each.finished),
        "bundles_heard": len({each.text for each in got} & answers),
        "swap_s_median": round(percentile(took, 0.5), 3),
        "swap_s_most": round(max(took), 3),
    }


async def drain(folder: Path, drains: int, streams: int) -> dict[str, Any]:
    """Stop gateways that have streams under way."""
    line = make_line(folder, f"replicas = {{ concurrent = {streams} }}\n")
    line.promote(echo(line, "a", delay=0.05))
    dropped, codes = 0, []
    broken: Counter[str] = Counter()
    for _ in range(drains):
        with serving(line) as gateway:
            async with calling(line, gateway.url) as caller:
                asked = [asyncio.create_task(caller.ask(WORDS * 3, tokens=64)) for _ in range(streams)]
                await settled(caller, gateway, asked)
                gateway.process.send_signal(signal.SIGTERM)
                got = await asyncio.gather(*asked)
                dropped += len(failed(got))
                broken.update(kinds(got))
            codes.append(await asyncio.to_thread(gateway.process.wait, 60))
    line.project.close()
    return {
        "drains": drains,
        "streams": drains * streams,
        "dropped": dropped,
        "failed_by_kind": dict(broken),
        "exit_codes": sorted(set(codes)),
    }


async def settled(caller: Caller, gateway: Gateway, asked: list[asyncio.Task[Got]]) -> None:
    """Wait until every stream has begun: the queue is empty, and none has ended."""
    async with asyncio.timeout(60):
        while await caller.gauge("kedge_requests_in_flight") < len(asked) or await caller.gauge("kedge_queue_depth"):
            await asyncio.sleep(0.01)


async def until(true: Any, seconds: float = 60.0) -> None:
    """Wait until something holds of other processes."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def swap_verdicts(name: str, found: dict[str, Any], swaps: int) -> dict[str, tuple[int, int]]:
    """What a campaign of swaps must not show, and how often it did."""
    return {
        f"{name}_failed": (found["failed"], 0),
        f"{name}_mixed_up": (found["mixed_up"], 0),
        f"{name}_left_undone": (swaps - found["swaps"], 0),
    }


def verdicts(found: dict[str, Any], swaps: int) -> dict[str, dict[str, Any]]:
    """Each target, what was seen, and whether it is met."""
    seen = {
        "kill_fails_at_most_what_was_in_flight": (found["kill"]["failed_per_kill_most"], CALLERS),
        "kill_fails_nothing_that_came_later": (found["kill"]["failed_that_came_later"], 0),
        "kill_errors_are_clear": (found["kill"]["unclear_errors"], 0),
        "kill_next_success_s": (found["kill"]["next_success_s_most"], 2.0),
        **swap_verdicts("swap", found["swap"], swaps),
        **swap_verdicts("swap_adapters", found["swap_adapters"], swaps),
        "drain_dropped": (found["drain"]["dropped"], 0),
        "drain_exit_code": (max(map(abs, found["drain"]["exit_codes"])), 0),
    }
    return {name: {"seen": got, "most": most, "met": got <= most} for name, (got, most) in seen.items()}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=15.0, help="the most that all swaps may take")
    parser.add_argument("--drains", type=int, default=10)
    parser.add_argument("--streams", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = {"kill": asyncio.run(kill(Path(name) / "kill", given.kills))}
        print(json.dumps(found["kill"]), file=sys.stderr, flush=True)
        found["drain"] = asyncio.run(drain(Path(name) / "drain", given.drains, given.streams))
        print(json.dumps(found["drain"]), file=sys.stderr, flush=True)
        for campaign, make, prompt in (("swap", echoes, WORDS), ("swap_adapters", adapters, SHORT)):
            root, seconds = Path(name) / campaign, 60 * given.minutes / 2
            found[campaign] = asyncio.run(swap(root, make, prompt, swaps=given.swaps, seconds=seconds))
            print(json.dumps(found[campaign]), file=sys.stderr, flush=True)
    targets = verdicts(found, given.swaps)
    print(json.dumps({**found, "targets": targets}))
    return 0 if all(each["met"] for each in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
