"""Whether two engines say the same: their tokens for a text, and their greedy answers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kedge.core.generation import GenerationRequest
from kedge.core.ports import Engine, Progress
from kedge.serve.decoding.files import FileTokens
from kedge.serve.engines.run import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Shares of texts that become the same tokens, of answers that are the same, and of characters until they part.

    `differs` is the first prompt whose answers are not the same.
    """

    prompts: int
    answers: float
    tokens: float
    tokenization: float = 1.0
    differs: str = ""


def compare_engines(
    reference: Engine, other: Engine, requests: Sequence[GenerationRequest], progress: Progress | None = None
) -> Agreement:
    """Ask both the same. An error counts as an answer: both must refuse what one refuses."""
    theirs, ours = run(reference, requests, progress), run(other, requests, progress)
    same, shared, whole, differs = 0, 0, 0, ""
    for request in requests:
        a, b = theirs[request.id], ours[request.id]
        same += a == b
        if a != b and not differs:
            differs = request.prompt or request.input or ""
        whole += max(len(a.text), len(b.text))
        shared += _common(a.text, b.text)
    count = len(requests)
    return Agreement(
        prompts=count, answers=same / max(1, count), tokens=shared / whole if whole else 1.0, differs=differs
    )


def compare_tokens(folder: Path, texts: Sequence[str]) -> float:
    """The share of texts that the tokenizer of the fast engine turns into the very tokens that training saw."""
    transformers = importlib.import_module("transformers")  # by name: the engines that need no torch load this file
    trained = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    ours = FileTokens(folder)
    same = 0
    for special in (True, False):
        expected = [trained(text, add_special_tokens=special, verbose=False)["input_ids"] for text in texts]
        got = ours.encode(texts, special=special)
        same += sum(a == b and ours.decode(a) == _decode(trained, a) for a, b in zip(expected, got, strict=True))
    return same / max(1, 2 * len(texts))


def _decode(tokenizer: object, tokens: list[int]) -> str:
    decode = getattr(tokenizer, "decode")  # noqa: B009 - of an untyped library
    return str(decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _common(a: str, b: str) -> int:
    """How many characters the two begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
