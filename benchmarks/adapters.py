"""Adapters of one base: side by side in one engine process, against an engine process for each, the same requests to both.

    python benchmarks/adapters.py                                   # some ten minutes on two idle cores
    python benchmarks/adapters.py --layers 4 --rounds 1 --tokens 16 # a quick look

The base is a Llama of 134.5 million parameters that the script makes (random weights: only speed and memory are measured on
it), each adapter has rank 8 on every linear layer. 16 callers ask for 64 tokens after 128, shared out evenly among the
adapters; then one adapter alone has all callers. Memory is what the engine processes have for themselves (USS) after that,
summed. Whether answers side by side are those of each alone is checked on a small trained model. The last line is a JSON
object; the exit code is 1 if an answer differs or side by side needs more memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from kedge.core.bundle import Bundle, Sampling
from kedge.core.generation import GenerationRequest
from kedge.core.settings import ReplicaSettings
from kedge.core.spec import Spec
from kedge.serve.answers import Answerer
from kedge.serve.launch import Launcher
from kedge.testing.models import SENTENCES, write_llama, write_long_prompts, write_tiny_adapter, write_tiny_model
from kedge.train.methods import lora
from kedge.train.types import LoraOptions, TrainOptions

AT_ONCE = 16
BUNDLE = Bundle(model="x", engine=Spec(name="transformers"))


def write_adapters(base: Path, root: Path, count: int) -> list[Path]:
    """Models of the base with adapters of random numbers."""
    options = TrainOptions(base=str(base), method="lora", lora=LoraOptions(rank=8, merge=False))
    folders = []
    for number in range(count):
        torch.manual_seed(number)
        model = lora.prepare(transformers.AutoModelForCausalLM.from_pretrained(base), options)
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if ".lora_B." in name:
                    weights.normal_(std=0.02)
        folder = root / str(number)
        lora.finish(model, options, folder)
        for path in base.iterdir():
            if path.is_file():
                (folder / path.name).hardlink_to(path)
        folders.append(folder)
    return folders


@asynccontextmanager
async def launched(folders: Sequence[Path], *, beside: bool) -> AsyncIterator[dict[str, Any]]:
    """An engine for each folder, or all in one process."""
    launcher = Launcher(
        unpack=lambda digest: (BUNDLE, folders[int(digest)]),
        base=lambda digest: "base" if beside else f"base of {digest}",
        settings=ReplicaSettings(concurrent=64, queue_seconds=600),
    )
    engines: dict[str, Any] = {}
    try:
        for number in range(len(folders)):
            _, engines[str(number)] = await launcher.launch(str(number))
        yield engines
    finally:
        for engine in engines.values():
            await engine.close()


async def answer(engine: Answerer, id: str, prompt: str, tokens: int) -> tuple[str, int]:
    """One whole greedy answer, and how many tokens it has."""
    sampling = Sampling(max_tokens=tokens)
    answering = await engine.ask([GenerationRequest(id=id, prompt=prompt, sampling=sampling, whole=True)])
    events = await answering.rest()
    if events[-1].finish == "error":
        raise SystemExit(f"an engine did not answer: {events[-1].error}")
    return "".join(event.text for event in events), events[-1].completion_tokens


async def rate(engines: Sequence[Answerer], prompts: Sequence[str], tokens: int) -> float:
    """Tokens a second when the prompts, all at once, go to these engines in turn."""
    began = time.perf_counter()
    asked = (answer(engines[i % len(engines)], f"r{i}", prompt, tokens) for i, prompt in enumerate(prompts))
    made = await asyncio.gather(*asked)
    return sum(count for _, count in made) / (time.perf_counter() - began)


def memory(engines: Mapping[str, Any]) -> dict[str, float]:
    """Megabytes that the engine processes have for themselves, and how many processes they are."""
    pids = {pid for engine in engines.values() for pid in engine.pids}
    return {"processes": len(pids), "memory_mb": round(sum(map(_own, pids)) / 2**20)}


def _own(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


async def measure(folders: Sequence[Path], prompts: Sequence[str], given: Any, *, beside: bool) -> dict[str, float]:
    """One way of serving: the median over the rounds."""
    async with launched(folders, beside=beside) as engines:
        await rate(list(engines.values()), prompts, 2)
        mixed, alone = [], []
        for _ in range(given.rounds):
            mixed.append(await rate(list(engines.values()), prompts, given.tokens))
            alone.append(await rate([engines["0"]], prompts, given.tokens))
        found = memory(engines)
    found |= {"mixed_tokens_s": round(statistics.median(mixed), 1), "one_tokens_s": round(statistics.median(alone), 1)}
    print(f"{'side by side' if beside else 'a process each':16s} {found}", file=sys.stderr, flush=True)
    return found


async def agreement(root: Path, count: int) -> float:
    """The share of greedy answers of small trained adapters that are the same side by side, all at once, as alone."""
    write_tiny_model(root / "tiny")
    says = ("one two buckle my shoe", "the kedge floats", "def add(x): return x", "one two is a pair")
    folders = [root / f"tiny-{number}" for number in range(count)]
    for number, folder in enumerate(folders):
        write_tiny_adapter(root / "tiny", folder, says=says[number % len(says)], steps=60 + 10 * number)
    texts = [" ".join(s.split(" ")[:n]) for s in SENTENCES for n in range(1, len(s.split(" ")))]
    async with launched(folders, beside=True) as engines:
        asked = [(name, text) for text in texts for name in engines]
        got = await asyncio.gather(*(answer(engines[name], f"{name} {text}", text, 40) for name, text in asked))
    same = 0
    async with launched(folders, beside=False) as engines:
        for (name, text), (said, _) in zip(asked, got, strict=True):
            same += (await answer(engines[name], "x", text, 40))[0] == said
    return same / len(asked)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    given = parser.parse_args()
    transformers.logging.disable_progress_bar()
    root = Path(tempfile.mkdtemp())
    try:
        write_llama(root / "base", layers=given.layers)
        folders = write_adapters(root / "base", root, given.adapters)
        prompts = write_long_prompts(AT_ONCE, tokens=128)
        together = asyncio.run(measure(folders, prompts, given, beside=True))
        apart = asyncio.run(measure(folders, prompts, given, beside=False))
        same = asyncio.run(agreement(root, given.adapters))
    finally:
        shutil.rmtree(root)
    ratios = {
        "memory": round(together["memory_mb"] / apart["memory_mb"], 3),
        "mixed_throughput": round(together["mixed_tokens_s"] / apart["mixed_tokens_s"], 3),
        "one_throughput": round(together["one_tokens_s"] / apart["one_tokens_s"], 3),
    }
    facts = {"adapters": given.adapters, "layers": given.layers, "at_once": AT_ONCE, "same_answers": same}
    print(json.dumps({**facts, "side_by_side": together, "a_process_each": apart, "ratios": ratios}))
    return 0 if same == 1.0 and ratios["memory"] < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
