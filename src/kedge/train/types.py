"""What the training room works with: the options of a tokenizer and of a training, examples' limits, and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kedge.core.errors import Invalid

PAD = "<pad>"
END = "<eos>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerOptions:
    """How a tokenizer is learned.

    `vocabulary` counts the 256 bytes and the 2 special tokens too. `cut` says where a token may not cross: `words`
    keeps the space before a word with it, which suits prose; `pieces` cuts names at underscores and capitals and keeps
    spaces apart, so that a name has the same tokens wherever it stands, which suits code and copying.
    """

    vocabulary: int = 4096
    cut: Literal["words", "pieces"] = "words"

    def __post_init__(self) -> None:
        if not 300 <= self.vocabulary <= 1_000_000:
            raise Invalid(f"vocabulary must be from 300 to 1,000,000, not {self.vocabulary}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A Llama to train from scratch. `key_heads` 0 means as many as `heads`; `context` is the longest text in tokens."""

    hidden: int = 128
    intermediate: int = 384
    layers: int = 3
    heads: int = 4
    key_heads: int = 0
    context: int = 512
    rope_theta: float = 10_000.0
    tied: bool = True

    def __post_init__(self) -> None:
        if min(self.hidden, self.intermediate, self.layers, self.heads, self.context) < 1:
            raise Invalid("every size of a shape must be at least 1")
        if self.hidden % self.heads or self.hidden // self.heads % 2:
            raise Invalid(
                f"shape.hidden = {self.hidden} does not give {self.heads} heads an even size each",
                hint="take hidden as a multiple of twice the heads",
            )
        if self.key_heads < 0 or (self.key_heads and self.heads % self.key_heads):
            raise Invalid(f"shape.key_heads = {self.key_heads} does not divide shape.heads = {self.heads}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Low-rank adaptation: the rank, the scale `alpha / rank`, and the layers ("all-linear", or names of modules).

    With `merge` the model has the small matrices added to its own. Without, it is the base as it was with the adapter
    beside it: models of one base then share its files, and where the engine can, its place in memory.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("all-linear",)
    merge: bool = True

    def __post_init__(self) -> None:
        if self.rank < 1 or not 0.0 <= self.dropout < 1.0 or not self.targets:
            raise Invalid("lora wants a rank of at least 1, a dropout from 0 to 1, and at least one target")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Everything that decides a training, except the rows and the tokenizer.

    The model starts from `base` (a folder, or a hub id that is on this machine; `download` lets it come over the
    network, at `revision`), or from scratch in `shape`. It reads `prompt` with a row's input and learns the target.
    A step sees about `batch_tokens` tokens, padding included; a pair longer than `max_tokens` is left out, a longer
    plain text is cut. The learning rate rises over the share `warmup` of the steps, then falls to 0. `learning_rate` 0,
    `optimizer` and `precision` "auto" leave the choice to the method and the machine. `threads` 0: all cores.
    """

    prompt: str = "{input}"
    base: str = ""
    revision: str = ""
    download: bool = False
    method: Literal["full", "lora"] = "full"
    shape: Shape = field(default_factory=Shape)
    lora: LoraOptions = field(default_factory=LoraOptions)
    steps: int = 1000
    batch_tokens: int = 1024
    max_tokens: int = 256
    optimizer: Literal["auto", "muon", "adamw"] = "auto"
    learning_rate: float = 0.0
    matrix_learning_rate: float = 0.01
    weight_decay: float = 0.05
    warmup: float = 0.03
    decay: Literal["linear", "cosine"] = "linear"
    clip: float = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = 0
    seed: int = 0
    log_every: int = 10
    validate_every: int = 200
    validation_rows: int = 500
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_tokens, self.log_every, self.validate_every, self.checkpoint_every) < 1:
            raise Invalid("steps, batch_tokens, log_every, validate_every and checkpoint_every must be at least 1")
        if not 2 <= self.max_tokens <= self.batch_tokens:
            raise Invalid(f"max_tokens must be from 2 to batch_tokens = {self.batch_tokens}, not {self.max_tokens}")
        if not self.base and self.max_tokens > self.shape.context:
            raise Invalid(f"max_tokens = {self.max_tokens} is more than shape.context = {self.shape.context}")
        if not 0.0 <= self.warmup < 1.0:
            raise Invalid(f"warmup is a share of the steps, from 0 to 1, not {self.warmup}")
        if min(self.learning_rate, self.matrix_learning_rate, self.weight_decay, self.clip, self.threads) < 0:
            raise Invalid("learning rates, weight_decay, clip and threads cannot be negative")
        if "{input}" not in self.prompt:
            raise Invalid("prompt must hold {input}, where the row's input goes")
        if self.method == "lora" and not self.base:
            raise Invalid("lora adapts a base model, and none is named", hint="set base, or method = 'full'")

    @property
    def rate(self) -> float:
        """The peak learning rate of everything but what Muon moves."""
        if self.learning_rate:
            return self.learning_rate
        if not self.base:
            return 3e-3
        return 2e-4 if self.method == "lora" else 5e-5

    @property
    def mover(self) -> Literal["muon", "adamw"]:
        """The optimizer: Muon from scratch, AdamW for what is trained already, unless said otherwise."""
        if self.optimizer != "auto":
            return self.optimizer
        return "adamw" if self.base else "muon"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A trained model in Hugging Face layout. Everything but `seconds` is the same each time.

    `examples` counts what was learned from, `skipped` the rows that were too long; losses are in nats a token
    (`validation_loss` is None without validation rows); `tokens` counts what was read, padding left out.
    """

    folder: Path
    parameters: int
    trained: int
    precision: str
    dtype: str
    architecture: str
    examples: int
    skipped: int
    steps: int
    tokens: int
    loss: float
    validation_loss: float | None
    resumed_from: int
    seconds: float

    @property
    def metrics(self) -> Mapping[str, float]:
        """What a run keeps of it."""
        kept = {
            "final_loss": self.loss,
            "parameters": float(self.parameters),
            "trained_parameters": float(self.trained),
            "examples": float(self.examples),
            "skipped_rows": float(self.skipped),
            "tokens": float(self.tokens),
            "train_seconds": self.seconds,
        }
        return kept if self.validation_loss is None else {**kept, "final_validation_loss": self.validation_loss}
