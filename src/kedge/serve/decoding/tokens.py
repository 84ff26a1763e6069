"""What the decoding needs of a tokenizer of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Tokens:
    """Text to tokens and back, and the tokens that mean something: where answers end, what pads, what begins."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self.ends = _ends(tokenizer, model)
        self.pad: int = next((t for t in (tokenizer.pad_token_id, *sorted(self.ends)) if t is not None), 0)
        self.longest: int = max((len(token) for token in tokenizer.get_vocab()), default=1)
        self.context = _context(tokenizer, model)
        begin = tokenizer.bos_token_id
        self.beginning: list[int] = [begin] if begin is not None else [min(self.ends, default=self.pad)]

    @property
    def special(self) -> Mapping[str, str]:
        """The special tokens by role, as chat templates name them: `bos_token`, `eos_token`."""
        return {
            name: str(token) for name, token in self._tokenizer.special_tokens_map.items() if isinstance(token, str)
        }

    def encode(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        """The tokens of each text; with `special`, those the tokenizer puts around a text too."""
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens, special ones left out."""
        if self._backend is not None:  # ten times faster than through its wrapper, and called for each token
            return str(self._backend.decode(tokens, skip_special_tokens=True))
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _ends(tokenizer: Any, model: Any) -> frozenset[int]:
    """The tokens that end an answer, as `generate` has them; the tokenizer's own where the model names none."""
    for named in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if named is not None:
            return frozenset([named] if isinstance(named, int) else named)
    return frozenset()


def _context(tokenizer: Any, model: Any) -> int:
    """The longest prompt and answer together (0: neither the model nor the tokenizer says)."""
    named = getattr(model.config.get_text_config(), "max_position_embeddings", None) or tokenizer.model_max_length
    return int(named) if named and named < 2**40 else 0  # tokenizers without a limit name an absurd one
