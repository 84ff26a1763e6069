"""Engines on one processor, with a Llama of 134.5 million parameters that the script makes (random weights, so that only
speed is measured on it) and a small trained one for agreement.

    python benchmarks/engines.py                    # some minutes on two idle cores
    python benchmarks/engines.py --layers 4 --rounds 1 --tokens 16     # a quick look

Each line is one way to answer 128-token prompts with 64 tokens each, 1, 8 and 16 at once: plain batched `generate` of
transformers in float32, the bare OpenVINO GenAI pipeline, and kedge's gateway before the same export, in float32 and with
weights of eight bits. All of them compute on all cores, keep no prompt for the next, and are timed from the asking to the
last answer: the gateway with HTTP, tokenising and text, the two others with tokens alone. The ways take turns, `--rounds`
times; a target compares what two ways did in one round, and the median of the rounds counts. Behind the rates stand the
share of the machine's read bandwidth that reading all weights once a token makes, and of its float32 matrix product that
reading a prompt alone makes (what computes in bfloat16 may be above it). The last line is a JSON object, with the load of
the machine before the first round; the exit code is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai
import torch
import transformers

from kedge.app.work.export import write_export
from kedge.core.bundle import Bundle, Sampling
from kedge.core.generation import GenerationRequest
from kedge.core.spec import Spec
from kedge.optimize.export import Exported, export
from kedge.optimize.types import FACTS, ExportFacts
from kedge.serve.engines.compare import compare_engines
from kedge.serve.engines.open import open_engine
from kedge.testing.models import SENTENCES, write_llama, write_long_prompts, write_tiny_model
from kedge.testing.serving import Gateway, Line, calling, make_line, serving

AT_ONCE = (1, 8, 16)
PROMPT = 128


@dataclass(slots=True, kw_only=True)
class Way:
    """One way to answer. `run` answers so many prompts at once and gives tokens a second, and seconds to the first."""

    name: str
    run: Callable[[int], tuple[float, float]]
    rates: dict[int, list[float]] = field(default_factory=dict)
    firsts: dict[int, list[float]] = field(default_factory=dict)

    def rate(self, at_once: int) -> float:
        """The median over the rounds."""
        return statistics.median(self.rates[at_once])

    def over(self, other: Way, at_once: int) -> float:
        """How many times as fast it was as another in the same round: the median over the rounds."""
        pairs = zip(self.rates[at_once], other.rates[at_once], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def transformers_way(model: Any, tokenizer: Any, prompts: list[str], tokens: int) -> Way:
    """Plain batched `generate`: all prompts are there at once, which a server's callers rarely are."""

    def run(at_once: int) -> tuple[float, float]:
        ids = tokenizer(prompts[:at_once], return_tensors="pt")["input_ids"]
        began = time.perf_counter()
        made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
        took = time.perf_counter() - began
        if made.shape[1] - ids.shape[1] != tokens:
            raise SystemExit("transformers ended its answers early: the model is not as it was made")
        return (made.shape[1] - ids.shape[1]) * at_once / took, 0.0

    return Way(name="transformers generate, float32", run=run)


def bare_way(folder: Path, tokenizer: Any, prompts: list[str], tokens: int, *, eight: bool) -> Way:
    """The library alone, driven as its own samples drive it."""
    schedule = genai.SchedulerConfig()
    schedule.num_kv_blocks, schedule.max_num_seqs, schedule.max_num_batched_tokens = 512, 64, 2048
    schedule.dynamic_split_fuse, schedule.enable_prefix_caching = True, False
    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32", "EXECUTION_MODE_HINT": "ACCURACY"}
    rough = {"INFERENCE_PRECISION_HINT": "bf16", "KV_CACHE_PRECISION": "u8"}
    pipeline = genai.ContinuousBatchingPipeline(folder, schedule, "CPU", rough if eight else exact)

    def run(at_once: int) -> tuple[float, float]:
        encoded = [tokenizer(prompt)["input_ids"] for prompt in prompts[:at_once]]
        began = time.perf_counter()
        first = 0.0
        handles = []
        for number, ids in enumerate(encoded):
            config = genai.GenerationConfig(max_new_tokens=tokens)
            config.ignore_eos, config.eos_token_id, config.stop_token_ids = True, 1, {1}
            config.do_sample = False
            handles.append(pipeline.add_request(number, openvino.Tensor(np.array([ids])), config))
        while pipeline.has_non_finished_requests():
            pipeline.step()
            first = first or time.perf_counter() - began
            for handle in handles:
                if handle.can_read():
                    handle.read()
        return tokens * at_once / (time.perf_counter() - began), first

    return Way(name=f"OpenVINO GenAI alone, {'int8' if eight else 'float32'}", run=run)


def kedge_way(name: str, line: Line, gateway: Gateway, prompts: list[str], tokens: int) -> Way:
    """The gateway with keys, limits, receipts and traces on, asked over HTTP: for whole answers, and once more in streams
    of a single token for the time to the first."""

    async def ask(at_once: int) -> tuple[float, float]:
        async with calling(line, gateway.url) as caller:
            await caller.ask("warm up", tokens=1)
            began = time.perf_counter()
            got = await asyncio.gather(*(caller.whole(prompt, tokens=tokens) for prompt in prompts[:at_once]))
            took = time.perf_counter() - began
            firsts = await asyncio.gather(*(caller.ask(prompt, tokens=1) for prompt in prompts[:at_once]))
        for each in [*got, *firsts]:
            if each.status != 200 or each.error or each.tokens not in (1, tokens):
                raise SystemExit(f"the gateway did not answer: {each.status} {each.tokens} tokens {each.error}")
        return sum(each.tokens for each in got) / took, statistics.median(each.first for each in firsts)

    return Way(name=name, run=lambda at_once: asyncio.run(ask(at_once)))


@contextmanager
def served(source: Path, target: Path, precision: str, folder: Path) -> Iterator[tuple[Line, Gateway]]:
    """An export behind a gateway of its own."""
    line = make_line(folder)
    made = export_facts(target)
    model = line.store(source)
    artifact = write_export(line.project.blobs, made(model.digest))
    engine = Spec(name="openvino", args={"precision": precision})
    bundle = Bundle(model=model.digest, export=artifact.digest, engine=engine, sampling=Sampling(max_tokens=64))
    line.promote(line.register(bundle, model, artifact))
    with serving(line) as gateway:
        yield line, gateway
    line.project.close()


def export_facts(target: Path) -> Callable[[str], Exported]:
    """What was exported to a folder, said to come from a model that is stored only now."""

    def made(model: str) -> Exported:
        facts = replace(ExportFacts(**json.loads((target / FACTS).read_text())), model=model)
        (target / FACTS).write_text(json.dumps(asdict(facts)))
        return Exported(folder=target, facts=facts, quantised=None)

    return made


def agreement(folder: Path) -> dict[str, float]:
    """Greedy answers of a small trained model: the share that is the reference's own, at equal precision and in int8."""
    write_tiny_model(folder)
    parts = [" ".join(s.split(" ")[:n]) for s in SENTENCES for n in range(1, len(s.split(" ")))]
    requests = [
        GenerationRequest(id=str(i), sampling=Sampling(max_tokens=60), prompt=prompt) for i, prompt in enumerate(parts)
    ]
    reference = open_engine(Bundle(model="x", engine=Spec(name="transformers")), folder)
    shares = {}
    for precision in ("fp32", "int8"):
        export(folder, folder / "openvino", model="x", precision=precision)
        other = open_engine(Bundle(model="x", engine=Spec(name="openvino", args={"cache_mb": 32})), folder)
        shares[precision] = compare_engines(reference, other, requests).answers
        other.close()
    return shares


def machine() -> dict[str, float]:
    """What this machine reads and multiplies at most: GB/s and GFLOP/s in float32, by torch on all its threads."""
    block = torch.ones(2**27)
    left, right = torch.rand(2048, 2048), torch.rand(2048, 2048)
    reads, products = [], []
    for _ in range(5):
        began = time.perf_counter()
        block.sum()
        reads.append(block.numel() * 4 / (time.perf_counter() - began) / 1e9)
        began = time.perf_counter()
        left @ right
        products.append(2 * 2048**3 / (time.perf_counter() - began) / 1e9)
    return {"read_gb_s": max(reads), "product_gflop_s": max(products)}


def measure(ways: list[Way], rounds: int) -> None:
    """Every way in turn, so that what changes on the machine hits all."""
    for number in range(rounds):
        for way in ways:
            for at_once in AT_ONCE:
                rate, first = way.run(at_once)
                way.rates.setdefault(at_once, []).append(rate)
                way.firsts.setdefault(at_once, []).append(first)
            gc.collect()
            said = "  ".join(f"{at_once}: {way.rates[at_once][-1]:7.1f}" for at_once in AT_ONCE)
            print(f"round {number + 1}  {way.name:40s} tokens/s  {said}", file=sys.stderr, flush=True)


def verdicts(ways: dict[str, Way], shares: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Each target, what was seen, and whether it is met."""
    plain, bare, ours = ways["transformers"], ways["bare_fp32"], ways["kedge_fp32"]
    bare8, ours8 = ways["bare_int8"], ways["kedge_int8"]
    found: dict[str, tuple[float, float]] = {"greedy_agreement_fp32": (shares["fp32"], 1.0)}
    for at_once in AT_ONCE[1:]:
        found[f"fp32_over_transformers_{at_once}"] = (ours.over(plain, at_once), 2.0)
        found[f"int8_over_transformers_{at_once}"] = (ours8.over(plain, at_once), 4.0)
        found[f"fp32_of_bare_{at_once}"] = (ours.over(bare, at_once), 0.95)
        found[f"int8_of_bare_{at_once}"] = (ours8.over(bare8, at_once), 0.95)
    return {
        name: {"seen": round(seen, 3), "needed": needed, "met": seen >= needed}
        for name, (seen, needed) in found.items()
    }


def show(ways: dict[str, Way], limits: dict[str, float], weights: int) -> None:
    """The table."""
    print(
        f"\n{'way':42s} {'1':>8s} {'8':>8s} {'16 at once':>11s}  tokens/s;  first token s (1, 16);  shares: reads, product"
    )
    for way in ways.values():
        eight = "int8" in way.name
        share = way.rate(1) * weights * (1 if eight else 4) / 1e9 / limits["read_gb_s"]
        firsts = [statistics.median(way.firsts[at_once]) for at_once in (1, 16)]
        said = "  ".join(f"{first:5.2f}" if first else "    -" for first in firsts)
        rates = " ".join(f"{way.rate(at_once):8.1f}" for at_once in AT_ONCE)
        prefill = 2 * weights * PROMPT / firsts[0] / 1e9 / limits["product_gflop_s"] if firsts[0] else 0.0
        print(f"{way.name:42s} {rates}   {said}   {share:6.0%}   {prefill:6.0%}")


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--keep", type=Path, help="keep the models in this folder, and use those that are there")
    given = parser.parse_args()
    transformers.logging.disable_progress_bar()
    with ExitStack() as stack:
        root = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = root / f"llama-{given.layers}"
        if not (source / "tokenizer.json").exists():
            write_llama(source, layers=given.layers)
        for precision in ("fp32", "int8"):
            if not (source / precision / "openvino_model.xml").exists():
                export(source, source / precision, model="", precision=precision)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
        weights = sum(parameter.numel() for parameter in model.parameters())
        prompts = write_long_prompts(max(AT_ONCE), tokens=PROMPT)
        limits = machine() | {"load_before": os.getloadavg()[0]}
        ways = {
            "transformers": transformers_way(model, tokenizer, prompts, given.tokens),
            "bare_fp32": bare_way(source / "fp32", tokenizer, prompts, given.tokens, eight=False),
            "bare_int8": bare_way(source / "int8", tokenizer, prompts, given.tokens, eight=True),
        }
        lines = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for precision in ("fp32", "int8"):
            line, gateway = stack.enter_context(served(source, source / precision, precision, lines / precision))
            name = f"kedge gateway, {'int8' if precision == 'int8' else 'float32'}"
            ways[f"kedge_{precision}"] = kedge_way(name, line, gateway, prompts, given.tokens)
        measure(list(ways.values()), given.rounds)
        shares = agreement(lines / "tiny")
    found = verdicts(ways, shares)
    show(ways, limits, weights)
    facts = {"parameters": weights, "cores": os.cpu_count(), "processor": platform.processor(), **limits}
    rates = {name: {str(n): round(way.rate(n), 1) for n in AT_ONCE} for name, way in ways.items()}
    print(json.dumps({**facts, "tokens_s": rates, "int8_greedy_agreement": shares["int8"], "targets": found}))
    return 0 if all(each["met"] for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
