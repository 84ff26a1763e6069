"""An endpoint under more than it can do: twice its capacity for ten minutes, beside four fifths of it.

    python benchmarks/load.py                           # about sixteen minutes on two idle cores
    python benchmarks/load.py --minutes 0.5             # a quick look
    python benchmarks/load.py --engine echo --minutes 1 # without a model: the gateway and its queue alone

Capacity is what a closed loop of callers gets answered in a second. Then requests come at random times (Poisson) at 0.8 of
it, and then at twice it, whether answers come or not. Needed: the slowest hundredth of what is accepted takes at most twice
as long as at 0.8, all else is 429 with Retry-After, nothing is 5xx or broken off, and memory (gateway and engines) grows by
at most 5 % after the first minute (or the first fifth). The last line is a JSON object; the exit code is 1 if a target is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kedge.core.bundle import Bundle, Sampling
from kedge.core.spec import Spec
from kedge.testing.models import SENTENCES, write_tiny_model
from kedge.testing.serving import Caller, Gateway, Got, Line, calling, make_line, percentile, serving

CONCURRENT = 8


@dataclass(slots=True, kw_only=True)
class Seen:
    """What callers got in a phase, and memory over it."""

    got: list[Got] = field(default_factory=list)
    rss: list[tuple[float, int]] = field(default_factory=list)

    def summary(self, seconds: float) -> dict[str, Any]:
        """Counts, times and memory."""
        accepted = [each for each in self.got if each.status == 200]
        refused = [each for each in self.got if each.status == 429]
        times = [each.seconds for each in accepted]
        settled = [size for at, size in self.rss if at >= min(60.0, seconds / 5)]
        return {
            "asked": len(self.got),
            "accepted": len(accepted),
            "refused": len(refused),
            "refused_without_retry_after": sum(each.retry_after < 1 for each in refused),
            "server_errors": sum(each.status >= 500 for each in self.got),
            "broken": sum(each.status == 0 or (each.status == 200 and not each.finished) for each in self.got),
            "other": sum(each.status not in (0, 200, 429) and each.status < 500 for each in self.got),
            "p50_s": round(percentile(times, 0.5), 4),
            "p99_s": round(percentile(times, 0.99), 4),
            "rss_mb": round(settled[-1] / 2**20, 1) if settled else 0.0,
            "rss_growth": round(settled[-1] / settled[0] - 1, 4) if settled else 0.0,
        }


def make_bundle(line: Line, folder: Path, engine: str) -> None:
    """A small trained model (or the engine without one), in force."""
    if engine == "echo":
        spec = Spec(name="echo", args={"delay": 0.005})
        line.promote(line.register(Bundle(model="", engine=spec, sampling=Sampling(max_tokens=64))))
        return
    from kedge.app.work.export import write_export
    from kedge.optimize.export import export

    write_tiny_model(folder)
    model = line.store(folder)
    made = export(folder, folder / "openvino", model=model.digest, precision="fp32")
    artifact = write_export(line.project.blobs, made)
    spec = Spec(name="openvino", args={"precision": "fp32", "threads": 1, "cache_mb": 64})
    bundle = Bundle(model=model.digest, export=artifact.digest, engine=spec, sampling=Sampling(max_tokens=64))
    line.promote(line.register(bundle, model, artifact))


def prompt(draw: random.Random) -> str:
    """The beginning of a sentence that the model knows."""
    words = draw.choice(SENTENCES).split(" ")
    return " ".join(words[: draw.randint(1, 3)])


async def capacity(caller: Caller, seconds: float) -> float:
    """Answers a second in a closed loop that keeps every place taken."""
    draw, done = random.Random(0), 0
    end = time.perf_counter() + seconds

    async def loop() -> None:
        nonlocal done
        while time.perf_counter() < end:
            got = await caller.whole(prompt(draw), tokens=32)
            done += got.status == 200

    began = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(CONCURRENT)))
    return done / (time.perf_counter() - began)


async def arrivals(caller: Caller, gateway: Gateway, rate: float, seconds: float) -> Seen:
    """Requests at random times at this rate, each whether those before it are answered or not."""
    draw, seen, under_way = random.Random(1), Seen(), set()
    began = due = time.perf_counter()

    async def one() -> None:
        seen.got.append(await caller.whole(prompt(draw), tokens=32))

    watching = asyncio.create_task(watch(gateway, seen, began))
    while due < began + seconds:
        due += draw.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one())
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return seen


async def watch(gateway: Gateway, seen: Seen, began: float) -> None:
    """Write memory down once a second."""
    while True:
        seen.rss.append((time.perf_counter() - began, gateway.rss()))
        await asyncio.sleep(1.0)


async def measure(line: Line, gateway: Gateway, given: argparse.Namespace) -> dict[str, Any]:
    """Capacity, then four fifths of it, then twice as much."""
    seconds = given.minutes * 60
    short = max(10.0, min(120.0, seconds / 2))
    async with calling(line, gateway.url) as caller:
        await capacity(caller, 3.0)  # warm
        rate = await capacity(caller, short / 2)
        print(f"capacity      {rate:8.1f} answers/s", file=sys.stderr, flush=True)
        calm = (await arrivals(caller, gateway, 0.8 * rate, short)).summary(short)
        print(f"0.8 of it     p50 {calm['p50_s']:.3f} s, p99 {calm['p99_s']:.3f} s", file=sys.stderr, flush=True)
        storm = (await arrivals(caller, gateway, 2.0 * rate, seconds)).summary(seconds)
        said = f"p50 {storm['p50_s']:.3f} s, p99 {storm['p99_s']:.3f} s, {storm['refused']} refused"
        print(f"twice it      {said}", file=sys.stderr, flush=True)
    return {"capacity": round(rate, 1), "calm": calm, "storm": storm}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One target."""

    seen: float
    most: float

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.seen <= self.most


def verdicts(found: dict[str, Any]) -> dict[str, Verdict]:
    """Each target."""
    calm, storm = found["calm"], found["storm"]
    return {
        "p99_over_p99_at_0.8": Verdict(seen=storm["p99_s"] / max(calm["p99_s"], 1e-9), most=2.0),
        "server_errors": Verdict(seen=storm["server_errors"] + calm["server_errors"], most=0),
        "broken": Verdict(seen=storm["broken"] + storm["other"] + calm["broken"] + calm["other"], most=0),
        "refused_without_retry_after": Verdict(seen=storm["refused_without_retry_after"], most=0),
        "rss_growth": Verdict(seen=storm["rss_growth"], most=0.05),
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--engine", choices=["openvino", "echo"], default="openvino")
    parser.add_argument("--queue-seconds", type=float, default=0.05, help="how long a request may be expected to wait")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        replicas = f"replicas = {{ concurrent = {CONCURRENT}, queue_seconds = {given.queue_seconds} }}\n"
        line = make_line(Path(name) / "project", replicas + "\n[gateway]\nmax_waiting = 4096\n")
        make_bundle(line, Path(name) / "model", given.engine)
        with serving(line) as gateway:
            found = asyncio.run(measure(line, gateway, given))
        line.project.close()
    targets = {
        which: {**asdict(verdict), "seen": round(verdict.seen, 4), "met": verdict.met}
        for which, verdict in verdicts(found).items()
    }
    print(json.dumps({**found, "minutes": given.minutes, "targets": targets}))
    return 0 if all(each["met"] for each in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
