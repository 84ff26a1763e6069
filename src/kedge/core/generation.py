"""What goes into an engine and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kedge.core.bundle import Sampling

Finish = Literal["", "stop", "length", "content_filter", "cancelled", "error"]

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalties:
    """What is changed in a token's logit before the next one is chosen: `frequency` is taken off once for each time the
    answer has the token, `presence` once if it has it at all, and `bias` is added to the tokens it names."""

    frequency: float = 0.0
    presence: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One prompt for an engine: the exact text (`prompt`), the very `tokens`, or chat `messages`, which the engine
    renders.

    `input` is a row's input, which the engine wraps with the bundle's prompt template. Exactly one of the four is set.
    `sampling.max_tokens` counts new tokens; an answer also ends, with finish `length`, where the context is full.
    `prompt_limit` is the longest prompt that is let in, in tokens (0: the model's context); a longer one is `invalid`.

    What follows needs an engine that `can` it; one that cannot answers with an error of code `invalid`.
    `logprobs` asks for each token's log-probability, as the model gives it before temperature and penalties, and for
    that many alternatives beside it (None: for neither). With `echo` the answer begins with the prompt, and its tokens
    with those of the prompt; special tokens that the tokenizer put around it are left out. `schema` is a JSON schema
    that the answer obeys, `tools` are offered to the chat template. With `embed` no answer is made: the one event of
    the request has the `embedding` of the prompt.

    `whole` says that nobody reads the answer before its end, so that an engine may give it in one piece; it changes
    nothing of the answer. `bundle` is the name under which an engine that serves several took in the one that is to
    answer ("": the one that it was opened with).
    """

    id: str
    sampling: Sampling
    prompt: str | None = None
    input: str | None = None
    tokens: Sequence[int] | None = None
    messages: Sequence[Mapping[str, Any]] | None = None
    prompt_limit: int = 0
    logprobs: int | None = None
    echo: bool = False
    schema: str = ""
    tools: Sequence[Mapping[str, Any]] = ()
    penalties: Penalties | None = None
    embed: bool = False
    whole: bool = False
    bundle: str = ""

    @property
    def plain(self) -> bool:
        """Whether it asks for nothing beyond plain text."""
        return (
            self.tokens is None
            and self.logprobs is None
            and self.penalties is None
            and not (self.echo or self.schema or self.tools or self.embed or self.bundle)
        )

    @property
    def needs(self) -> frozenset[str]:
        """What an engine must be able to do beyond plain text for this request, in the words of `EngineFacts.can`."""
        if self.plain:
            return _NOTHING
        asked = {
            "tokens": self.tokens is not None,
            "logprobs": self.logprobs is not None,
            "echo": self.echo,
            "schema": bool(self.schema),
            "tools": bool(self.tools),
            "penalties": self.penalties is not None,
            "embed": self.embed,
            "adapters": bool(self.bundle),
        }
        return frozenset(word for word, needed in asked.items() if needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChoice:
    """One token of an answer with its natural-log probability, and the likeliest tokens in its place, best first.

    The first token of an echoed prompt has no probability (None). A token that is no whole character is written as
    its bytes: `bytes:\\xe6\\x97`. The one that ends an answer is told too, with an empty text.
    """

    text: str
    logprob: float | None
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEvent:
    """A piece of an answer. `text` is what is new; the last event of a request has `finish` set and both counts.

    `tokens` are those that `text` is made of, where the request asked for their probabilities. `embedding` is a vector
    of length 1 as 32-bit floats, little-endian.
    """

    id: str
    text: str = ""
    finish: Finish = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    error_code: str = ""  # KedgeError.code of a refused request, as `invalid` or `limited`
    tokens: tuple[TokenChoice, ...] = ()
    embedding: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself. `context` is the longest prompt and answer together, in tokens (0: unknown).

    `can` names what it does beyond plain text, of `tokens`, `logprobs`, `echo`, `schema`, `tools`, `penalties`, `embed`,
    `score`, and `adapters`: it is a `SharedEngine`.
    """

    name: str
    context: int = 0
    parameters: int = 0
    vocabulary: int = 0
    dtype: str = ""
    device: str = ""
    can: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The natural-log probability of a completion given its prompt, and how many tokens it has."""

    logprob: float
    tokens: int
