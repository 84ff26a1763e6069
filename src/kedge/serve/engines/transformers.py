"""The reference engine: any causal language model of transformers from a local folder, decoded in joint batches."""

from __future__ import annotations

import importlib
import importlib.util
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers

from kedge.core import adapter
from kedge.core.bundle import Bundle, Sampling
from kedge.core.catalogue import nearest
from kedge.core.errors import Broken, Invalid, NotFound
from kedge.core.generation import EngineFacts, GenerationEvent, GenerationRequest, Likelihood
from kedge.serve.decoding.adapters import NONE, Adapters
from kedge.serve.decoding.admit import Admission, refusal
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
    return TransformersEngine(bundle, folder, model.to(flags.device).eval(), tokenizer, flags)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voice:
    """One bundle as the engine has it: how its requests become text and are let in, and the adapter they go through."""

    renderer: Renderer
    admission: Admission
    adapter: int
    can: tuple[str, ...]


class TransformersEngine:
    """Renders, tokenises and decodes requests in joint batches, and scores completions. Bundles that differ in their
    adapter, prompt and chat template alone are served side by side."""

    def __init__(self, bundle: Bundle, folder: Path, model: Any, tokenizer: Any, flags: Flags) -> None:
        self._model = model
        self._flags = flags
        self._tokens = Tokens(tokenizer, model)
        self._context = min(filter(None, (flags.context, self._tokens.context)), default=0)
        self._obey = _schemas(tokenizer, self._tokens) if _OBEYS else None
        self._adapters = Adapters(model)
        self._voices = {"": self._voice(bundle, folder)}
        self._described = self._facts(self._voices[""])
        self._schedule = Schedule(
            Decoder(model, self._adapters, pad=self._tokens.pad, context=self._context),
            self._tokens,
            batch=flags.batch,
            prefill_tokens=flags.prefill_tokens,
            cache_bytes=flags.cache_mb * 2**20,
        )
        self._waiting: deque[GenerationRequest] = deque()
        self._cancelled: set[str] = set()

    def _voice(self, bundle: Bundle, folder: Path) -> _Voice:
        renderer = Renderer(bundle, tokens=self._tokens.special, special=self._tokens.reserved)
        more = {"schema": _OBEYS, "tools": renderer.takes_tools, "adapters": self._adapters.mix}
        can = _CAN | {word for word, able in more.items() if able}
        apart = folder / adapter.FOLDER
        number = self._adapters.add(apart) if apart.is_dir() else NONE
        admission = Admission(renderer, self._tokens, context=self._context, can=can, obey=self._obey, adapter=number)
        return _Voice(renderer=renderer, admission=admission, adapter=number, can=tuple(sorted(can)))

    def describe(self) -> EngineFacts:
        """What this engine is and can."""
        return self._described

    def add(self, name: str, bundle: Bundle, folder: Path) -> EngineFacts:
        """Take in a bundle of the same base. `Invalid` for other flags than the first one's, or an adapter that does not
        fit; `Refused` for a file that could run code."""
        if not self._adapters.mix:
            raise Invalid(
                "the layers of this model do not know whose tokens they read", hint="give each bundle an engine"
            )
        if read_flags(bundle) != self._flags:
            raise Invalid("bundles side by side have the same flags", address=bundle.model)
        vet_folder(folder)
        self.remove(name)
        self._voices[name] = self._voice(bundle, folder)
        return self._facts(self._voices[name])

    def remove(self, name: str) -> None:
        """Let a bundle go; what it was asked is cancelled with the next step."""
        voice = self._voices.pop(name, None)
        if voice is not None:
            self._cancelled.update(request.id for request in self._waiting if request.bundle == name)
            self._cancelled.update(self._schedule.asked_of(name))
            self._adapters.remove(voice.adapter)

    def _facts(self, voice: _Voice) -> EngineFacts:
        return EngineFacts(
            name="transformers",
            context=self._context,
            parameters=sum(parameter.numel() for parameter in self._model.parameters()),
            vocabulary=int(self._model.config.get_text_config().vocab_size),
            dtype=self._flags.dtype,
            device=self._flags.device,
            can=voice.can,
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
            asked: dict[str, list[GenerationRequest]] = {}
            for request in (self._waiting.popleft() for _ in range(room)):
                asked.setdefault(request.bundle, []).append(request)
            for name, requests in asked.items():
                events += self._let_in(name, requests)
        return events + self._schedule.step()

    def _let_in(self, name: str, requests: Sequence[GenerationRequest]) -> list[GenerationEvent]:
        """Queue what one bundle is asked; what is said of it at once."""
        voice = self._voices.get(name)
        if voice is None:
            return [
                replace(refusal(each, "this bundle is not served here"), error_code="not_found") for each in requests
            ]
        rows, refusals = voice.admission.admit(requests)
        self._schedule.add(row for row in rows if not row.request.embed)
        return refusals + self._embed([row for row in rows if row.request.embed], voice)

    def _embed(self, rows: Sequence[Row], voice: _Voice) -> list[GenerationEvent]:
        self._adapters.read([voice.adapter])
        vectors = embed_tokens(self._model, [row.prompt for row in rows], at_once=self._flags.prefill_tokens)
        return [
            GenerationEvent(id=row.request.id, finish="stop", prompt_tokens=len(row.prompt), embedding=vector)
            for row, vector in zip(rows, vectors, strict=True)
        ]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """The likelihood of each completion after its input, by the first bundle; the tokens of the two are told apart,
        and no end token is counted. `Invalid` if a pair is longer than the context."""
        voice = self._voices.get("")
        if voice is None:
            raise NotFound("this bundle is not served here any more")
        asked = [GenerationRequest(id="", sampling=Sampling(), input=given) for given, _ in pairs]
        prompts = self._tokens.encode([voice.renderer.render(request).text for request in asked])
        completions = self._tokens.encode([completion for _, completion in pairs], special=False)
        sequences = [(p or self._tokens.beginning, c) for p, c in zip(prompts, completions, strict=True)]
        longest = max((len(prompt) + len(completion) for prompt, completion in sequences), default=0)
        if self._context and longest > self._context:
            raise Invalid(
                f"an input and its completion have {longest} tokens, the context {self._context}",
                hint="leave such cases out, or use a model with a longer context",
            )
        self._adapters.read([voice.adapter])
        return score_tokens(self._model, sequences)

    def close(self) -> None:
        """Free the weights."""
        self._waiting.clear()
        self._voices.clear()
        del self._schedule, self._adapters, self._model

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
