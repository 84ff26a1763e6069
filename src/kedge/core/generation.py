"""What goes into an engine and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from kedge.core.bundle import Sampling

Finish = Literal["", "stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One prompt for an engine: the exact text (`prompt`) or chat `messages`, which the engine renders.

    `input` is a row's input, which the engine wraps with the bundle's prompt template. Exactly one of the three is set.
    `sampling.max_tokens` counts new tokens.
    """

    id: str
    sampling: Sampling
    prompt: str | None = None
    input: str | None = None
    messages: Sequence[Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEvent:
    """A piece of an answer. `text` is what is new; the last event of a request has `finish` set and both counts."""

    id: str
    text: str = ""
    finish: Finish = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    error_code: str = ""  # KedgeError.code of a refused request, as `invalid` or `limited`


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The natural-log probability of a completion given its prompt, and how many tokens it has."""

    logprob: float
    tokens: int
