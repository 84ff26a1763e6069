"""The reference engine: any causal language model of transformers from a local folder, decoded in joint batches."""

from __future__ import annotations

import importlib
import importlib.util
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers

from kedge.core.bundle import Bundle, Sampling
from kedge.core.catalogue import nearest
from kedge.core.errors import Broken, Invalid
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood
from kedge.serve.decoding.admit import Admission
from kedge.serve.decoding.batch import Decoder
from kedge.serve.decoding.embed import embed_tokens
from kedge.serve.decoding.render import Renderer
from kedge.serve.decoding.row import Obeyed, Row
from kedge.serve.decoding.schedule import Schedule
from kedge.serve.decoding.score import score_tokens
from kedge.serve.decoding.tokens import Tokens
from kedge.serve.engines.vet import vet_folder

_CAN = frozenset({"echo", "embed", "logprobs", "penalties", "score", "tokens"})
_OBEYS = importlib.util.find_spec("llguidance") is not None  # comes with kedge[schema]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The engine's arguments in a bundle.

    `batch` rows are decoded at once, as far as their keys and values fit in `cache_mb` megabytes; at most
    `prefill_tokens` are read before the others go on (a longer prompt alone is read whole). `context` lowers the
    model's own; `threads` is for the whole process (0: as it is).
    """

    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 0
    context: int = 0
    batch: int = 128
    prefill_tokens: int = 8192
    cache_mb: int = 2048


def open_transformers(bundle: Bundle, folder: Path) -> TransformersEngine:
    """Load the model and tokenizer in `folder`. `Refused` if a file could run code; `Broken` if weights are missing."""
    flags = read_flags(bundle)
    vet_folder(folder)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if flags.threads:
        torch.set_num_threads(flags.threads)
    local = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=_DTYPES[flags.dtype], use_safetensors=True, output_loading_info=True, **local
    )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        missing = sorted(str(key) for key in [*loading["missing_keys"], *loading["mismatched_keys"]])
        raise Broken(f"the weights are not complete: {', '.join(missing[:3])}", address=bundle.model)
    return TransformersEngine(bundle, model.to(flags.device).eval(), tokenizer, flags)


def read_flags(bundle: Bundle) -> Flags:
    """The flags of a bundle's engine; `Invalid` names an unknown one or a wrong value."""
    known = [field.name for field in fields(Flags)]
    for name in bundle.engine.args:
        if name not in known:
            raise Invalid(f"the engine transformers has no flag {name!r}", hint=nearest(name, known))
    try:
        flags = msgspec.convert(dict(bundle.engine.args), Flags)
    except msgspec.ValidationError as error:
        raise Invalid(f"a flag of the engine transformers is wrong: {error}") from error
    if flags.dtype not in _DTYPES:
        raise Invalid(f"the engine transformers has no dtype {flags.dtype!r}", hint=nearest(flags.dtype, _DTYPES))
    return flags


class TransformersEngine:
    """Renders, tokenises and decodes requests in joint batches, and scores completions."""

    def __init__(self, bundle: Bundle, model: Any, tokenizer: Any, flags: Flags) -> None:
        self._model = model
        self._flags = flags
        self._tokens = Tokens(tokenizer, model)
        self._context = min(filter(None, (flags.context, self._tokens.context)), default=0)
        self._renderer = Renderer(bundle, tokens=self._tokens.special, special=self._tokens.reserved)
        self._can = _CAN | ({"schema"} if _OBEYS else set()) | ({"tools"} if self._renderer.takes_tools else set())
        self._admission = Admission(
            self._renderer,
            self._tokens,
            context=self._context,
            can=frozenset(self._can),
            obey=_schemas(tokenizer, self._tokens) if _OBEYS else None,
        )
        self._schedule = Schedule(
            Decoder(model, pad=self._tokens.pad, context=self._context),
            self._tokens,
            batch=flags.batch,
            prefill_tokens=flags.prefill_tokens,
            cache_bytes=flags.cache_mb * 2**20,
        )
        self._waiting: deque[GenerationRequest] = deque()
        self._cancelled: set[str] = set()

    def describe(self) -> EngineFacts:
        """What this engine is and can."""
        return EngineFacts(
            name="transformers",
            context=self._context,
            parameters=sum(parameter.numel() for parameter in self._model.parameters()),
            vocabulary=int(self._model.config.get_text_config().vocab_size),
            dtype=self._flags.dtype,
            device=self._flags.device,
            can=tuple(sorted(self._can)),
        )

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request."""
        self._waiting.append(request)

    def cancel(self, id: str) -> None:
        """Stop a request with the next step."""
        self._cancelled.add(id)

    def step(self) -> list[GenerationEvent]:
        """Let requests in, then read and decode: one token of one batch at most."""
        events = self._drop_cancelled()
        room = min(self._schedule.room, len(self._waiting))
        if room:
            rows, refusals = self._admission.admit([self._waiting.popleft() for _ in range(room)])
            self._schedule.add(row for row in rows if not row.request.embed)
            events += refusals + self._embed([row for row in rows if row.request.embed])
        return events + self._schedule.step()

    def _embed(self, rows: Sequence[Row]) -> list[GenerationEvent]:
        vectors = embed_tokens(self._model, [row.prompt for row in rows], at_once=self._flags.prefill_tokens)
        return [
            GenerationEvent(id=row.request.id, finish="stop", prompt_tokens=len(row.prompt), embedding=vector)
            for row, vector in zip(rows, vectors, strict=True)
        ]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihood of each completion after its input; the tokens of the two are told apart, and no end token
        is counted. `Invalid` if a pair is longer than the context."""
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
        return score_tokens(self._model, sequences)

    def close(self) -> None:
        """Free the weights."""
        self._waiting.clear()
        del self._schedule, self._admission, self._model

    def _drop_cancelled(self) -> list[GenerationEvent]:
        if not self._cancelled:
            return []
        gone, self._cancelled = frozenset(self._cancelled), set()
        events = [GenerationEvent(id=request.id, finish="cancelled") for request in self._waiting if request.id in gone]
        self._waiting = deque(request for request in self._waiting if request.id not in gone)
        return events + self._schedule.cancel(gone)


def _schemas(tokenizer: Any, tokens: Tokens) -> Callable[[str], Obeyed]:
    """What makes a row obey a schema; its module is loaded only where its package is installed."""
    schemas = importlib.import_module("kedge.serve.decoding.schema")
    match: Callable[[str], Obeyed] = schemas.Schemas(tokenizer, vocabulary=tokens.size, ends=tokens.ends).match
    return match
