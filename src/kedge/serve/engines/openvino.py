"""The fast engine on processors: an exported model under OpenVINO GenAI's continuous batching.

Text becomes tokens, and tokens text, by the very tokenizer of the bundle; the library only ever sees numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import openvino
import openvino_genai as genai

from kedge.core.bundle import Bundle, Sampling
from kedge.core.catalogue import nearest
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood
from kedge.serve.decoding.admit import Admission
from kedge.serve.decoding.files import FileTokens
from kedge.serve.decoding.render import Renderer
from kedge.serve.decoding.row import Row
from kedge.serve.engines.openvino_score import Scorer
from kedge.serve.engines.vet import vet_folder

FOLDER: Final = "openvino"
GRAPH: Final = "openvino_model.xml"
FACTS: Final = "export.json"

_BLOCK = 32  # tokens that the library keeps together
_SEEDS = 2**31
# What the processor computes in, and what keys and values are kept in, for each precision of an export.
_COMPUTED = {"fp32": ("f32", "f32", 4), "bf16": ("bf16", "bf16", 2), "int8": ("bf16", "u8", 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The engine's arguments in a bundle.

    `precision` must be that of the export ("": whatever it is), so that a bundle of eight bits says so. At most `batch`
    answers are made at once, `prefill_tokens` read in one step, and `cache_mb` megabytes of keys and values kept.
    `context` lowers the model's own; `threads` is for the whole process (0: as it is). `prefix_cache` keeps the keys and
    values of prompts for others that begin alike: only for endpoints of one tenant, as the time tells who asked before.
    """

    precision: str = ""
    threads: int = 0
    context: int = 0
    batch: int = 64
    prefill_tokens: int = 2048
    cache_mb: int = 1024
    prefix_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an export says of itself, as far as the engine needs it."""

    precision: str
    parameters: int
    vocabulary: int
    context: int
    layers: int
    key_value_heads: int
    head_size: int


@dataclass(slots=True, eq=False, kw_only=True)
class _Going:
    """An answer under way, and the library's end of it."""

    row: Row
    handle: Any


def open_openvino(bundle: Bundle, folder: Path) -> OpenvinoEngine:
    """Load the export and the tokenizer in `folder`. `NotFound` if there is no export in the bundle; `Refused` if a file
    could run code; `Invalid` for a flag that is wrong, or a precision that is not the export's."""
    vet_folder(folder)
    if not (folder / FOLDER / GRAPH).is_file():
        raise NotFound(
            "the bundle has no export for the engine openvino",
            address=bundle.model,
            hint='add [stages.export] with step = "export" before the stage bundle, or use the engine transformers',
        )
    facts = read_facts(folder)
    flags = read_flags(bundle)
    if flags.precision not in ("", facts.precision):
        raise Invalid(
            f"the bundle says {flags.precision}, and its export is {facts.precision}",
            address=bundle.model,
            hint="make the bundle anew from the export it is to have",
        )
    return OpenvinoEngine(bundle, folder, facts, flags)


def read_facts(folder: Path) -> Facts:
    """What the export in a bundle's folder says. `Broken` if it cannot be read."""
    try:
        return msgspec.json.decode((folder / FOLDER / FACTS).read_bytes(), type=Facts)
    except (OSError, msgspec.DecodeError) as error:
        raise Broken(f"the export cannot be read: {error}", hint="export the model anew") from error


def read_flags(bundle: Bundle) -> Flags:
    """The flags of a bundle's engine; `Invalid` names an unknown one or a wrong value."""
    known = [field.name for field in fields(Flags)]
    for name in bundle.engine.args:
        if name not in known:
            raise Invalid(f"the engine openvino has no flag {name!r}", hint=nearest(name, known))
    try:
        return msgspec.convert(dict(bundle.engine.args), Flags)
    except msgspec.ValidationError as error:
        raise Invalid(f"a flag of the engine openvino is wrong: {error}") from error


class OpenvinoEngine:
    """Renders and tokenises requests, has the library decode them together, and scores completions."""

    def __init__(self, bundle: Bundle, folder: Path, facts: Facts, flags: Flags) -> None:
        self._facts = facts
        self._flags = flags
        self._tokens = FileTokens(folder)
        self._context = min(filter(None, (flags.context, facts.context, self._tokens.context)), default=0)
        self._renderer = Renderer(bundle, tokens=self._tokens.special, special=self._tokens.reserved)
        self._can = ("score", "tokens", *(["tools"] if self._renderer.takes_tools else []))
        self._admission = Admission(self._renderer, self._tokens, context=self._context, can=frozenset(self._can))
        self._properties = _properties(facts, flags)
        self._graph = folder / FOLDER / GRAPH
        self._pipeline = genai.ContinuousBatchingPipeline(
            folder / FOLDER, _schedule(facts, flags), "CPU", self._properties
        )
        self._scorer: Scorer | None = None
        self._waiting: deque[GenerationRequest] = deque()
        self._going: dict[str, _Going] = {}
        self._cancelled: set[str] = set()
        self._number = 0

    def describe(self) -> EngineFacts:
        """What this engine is and can."""
        return EngineFacts(
            name="openvino",
            context=self._context,
            parameters=self._facts.parameters,
            vocabulary=self._facts.vocabulary,
            dtype=self._facts.precision,
            device="cpu",
            can=self._can,
        )

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def cancel(self, id: str) -> None:
        """Stop a request with the next step."""
        self._cancelled.add(id)

    def step(self) -> list[GenerationEvent]:
        """Let requests in, have the library take one step, and say what it made."""
        events = self._drop_cancelled() + self._let_in()
        if self._going:
            self._pipeline.step()
            events += self._collect()
        return events

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihood of each completion after its input, by the exported graph itself; the tokens of the two are told
        apart, and no end token is counted. `Invalid` if a pair is longer than the context."""
        asked = [GenerationRequest(id="", sampling=Sampling(), input=given) for given, _ in pairs]
        prompts = self._tokens.encode([self._renderer.render(request).text for request in asked])
        completions = self._tokens.encode([completion for _, completion in pairs], special=False)
        sequences = [(p or self._tokens.beginning, c) for p, c in zip(prompts, completions, strict=True)]
        longest = max((len(prompt) + len(completion) for prompt, completion in sequences), default=0)
        if self._context and longest > self._context:
            raise Invalid(
                f"an input and its completion have {longest} tokens, the context {self._context}",
                hint="leave such cases out, or use a model with a longer context",
            )
        if self._scorer is None:  # a second copy of the weights, for those who ask
            self._scorer = Scorer(self._graph, self._properties, vocabulary=self._facts.vocabulary)
        return self._scorer.score(sequences)

    def close(self) -> None:
        """Free the weights."""
        self._waiting.clear()
        self._going.clear()
        del self._pipeline, self._scorer

    def _drop_cancelled(self) -> list[GenerationEvent]:
        if not self._cancelled:
            return []
        gone, self._cancelled = self._cancelled, set()
        events = [GenerationEvent(id=request.id, finish="cancelled") for request in self._waiting if request.id in gone]
        self._waiting = deque(request for request in self._waiting if request.id not in gone)
        for asked in gone & self._going.keys():
            going = self._going.pop(asked)
            going.handle.cancel()
            going.row.finish = "cancelled"
            events.append(going.row.event())
        self._settle()
        return events

    def _let_in(self) -> list[GenerationEvent]:
        """As many as may be decoded at once; the others wait here, where they can be cancelled for nothing."""
        room = min(len(self._waiting), self._flags.batch - len(self._going))
        if room <= 0:
            return []
        asked = [self._waiting.popleft() for _ in range(room)]
        rows, refusals = self._admission.admit(asked)
        for row in rows:
            self._number += 1
            prompt = openvino.Tensor(np.array([row.prompt], dtype=np.int64))
            handle = self._pipeline.add_request(self._number, prompt, self._config(row))
            self._going[row.request.id] = _Going(row=row, handle=handle)
        return refusals

    def _config(self, row: Row) -> Any:
        config = genai.GenerationConfig(max_new_tokens=row.room)
        ends = self._tokens.ends
        config.ignore_eos = not ends
        if ends:
            config.eos_token_id = min(ends)
            config.stop_token_ids = set(ends)
        config.do_sample = not row.choice.greedy
        if config.do_sample:
            config.temperature, config.top_p = row.choice.temperature, row.choice.top_p
            config.rng_seed = row.choice.chance.randrange(_SEEDS)
        return config

    def _collect(self) -> list[GenerationEvent]:
        events = []
        for asked, going in list(self._going.items()):
            row, text = going.row, ""
            tokens = _read(going.handle)
            for token in tokens:
                text += row.grow(token, ends=self._tokens.ends)
                if row.finish:
                    break
            if row.finish:
                if row.finish == "stop":
                    going.handle.stop()
                del self._going[asked]
            elif not tokens and going.handle.get_status() != genai.GenerationStatus.RUNNING:
                del self._going[asked]
                events.append(_given_up(row))
                continue
            if text or row.finish:
                events.append(row.event(text))
        self._settle()
        return events

    def _settle(self) -> None:
        """Have the library let go of what was stopped, when nothing else would make it."""
        while not self._going and self._pipeline.has_non_finished_requests():
            self._pipeline.step()


def _read(handle: Any) -> list[int]:
    """The tokens made since the last look."""
    if not handle.can_read():
        return []
    return [int(token) for output in handle.read().values() for token in output.generated_ids]


def _given_up(row: Row) -> GenerationEvent:
    """The last event of an answer that does not fit in the cache even alone."""
    return GenerationEvent(
        id=row.request.id,
        finish="error",
        error="prompt and answer do not fit in the engine's memory for keys and values",
        error_code="limited",
        prompt_tokens=len(row.prompt),
        completion_tokens=row.made,
    )


def _properties(facts: Facts, flags: Flags) -> dict[str, Any]:
    computed, kept, _ = _COMPUTED[facts.precision]
    properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": computed, "KV_CACHE_PRECISION": kept}
    if facts.precision == "fp32":
        properties["EXECUTION_MODE_HINT"] = "ACCURACY"
    if flags.threads:
        properties["INFERENCE_NUM_THREADS"] = flags.threads
    return properties


def _schedule(facts: Facts, flags: Flags) -> Any:
    bytes_a_token = 2 * facts.layers * facts.key_value_heads * facts.head_size * _COMPUTED[facts.precision][2]
    schedule = genai.SchedulerConfig()
    schedule.num_kv_blocks = max(8, flags.cache_mb * 2**20 // (bytes_a_token * _BLOCK))
    schedule.max_num_seqs = flags.batch
    schedule.max_num_batched_tokens = flags.prefill_tokens
    schedule.dynamic_split_fuse = True
    schedule.enable_prefix_caching = flags.prefix_cache
    return schedule
