"""What the decoding needs of a tokenizer of transformers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # how tokenizers write a single byte that is no token of its own
_SPACE = "\u2581"


class Tokens:
    """Text to tokens and back, and the tokens that mean something: where answers end, what pads, what begins."""

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self._tokenizer = tokenizer
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self.ends = _ends(tokenizer, model)
        self.size = max(int(model.config.get_text_config().vocab_size), len(tokenizer))
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

    @property
    def reserved(self) -> Sequence[str]:
        """All special tokens: what they mean no caller can say by writing them."""
        return [str(token) for token in self._tokenizer.all_special_tokens]

    def encode(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        """The tokens of each text; with `special`, those the tokenizer puts around a text too."""
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def encode_around(self, text: str, literals: Mapping[str, str], *, special: bool) -> list[int]:
        """The tokens of a text in which signs stand for what is only text, whatever it looks like. With `special` those
        come first that the tokenizer puts before a text."""
        parts = re.split("(" + "|".join(re.escape(sign) for sign in literals) + ")", text)
        tokens = list(self._before) if special else []
        for part in parts:
            plain = literals.get(part)
            shown = part if plain is None else plain
            tokens += self._tokenizer(
                shown, add_special_tokens=False, split_special_tokens=plain is not None, verbose=False
            )["input_ids"]
        return tokens

    def added(self, prompt: Sequence[int]) -> int:
        """How many of the first tokens are special ones that the tokenizer puts before a text."""
        before = self._before
        return len(before) if before and list(prompt[: len(before)]) == before else 0

    @cached_property
    def _before(self) -> list[int]:
        both = self.encode(["a"])[0], self.encode(["a"], special=False)[0]
        at = next((i for i in range(len(both[0])) if both[0][i : i + len(both[1])] == both[1]), 0)
        return both[0][:at]

    def text(self, token: int) -> str:
        """One token as text, also a special one; as `bytes:\\xe6` where it is no whole character."""
        known = self._texts.get(token)
        if known is None:
            known = self._texts[token] = self._text(token)
        return known

    @cached_property
    def _texts(self) -> dict[int, str]:
        return {}

    def _text(self, token: int) -> str:
        written = self._tokenizer.convert_ids_to_tokens(token)
        if written is None:  # the model has more rows than the tokenizer tokens
            return ""
        if token in self._tokenizer.added_tokens_decoder:
            return str(written)
        raw = self._bytes(written)
        if raw is None:
            return str(written).replace(_SPACE, " ")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def _bytes(self, written: str) -> bytes | None:
        """The bytes of a token, where it is written as them."""
        if self._byte_level:
            return bytes(_ALPHABET[character] for character in written if character in _ALPHABET)
        match = _BYTE.fullmatch(written)
        return bytes([int(match[1], 16)]) if match else None

    @cached_property
    def _byte_level(self) -> bool:
        """Whether tokens are written in the alphabet that stands for bytes."""
        decoder = json.loads(self._backend.to_str())["decoder"] if self._backend is not None else None
        parts = (decoder or {}).get("decoders", [decoder])
        return any(part and part["type"] == "ByteLevel" for part in parts)

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


def _byte_alphabet() -> dict[str, int]:
    """The characters by which byte-level tokenizers write bytes: printable ones as they are, the others from 256 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(rest)}


_ALPHABET = _byte_alphabet()
