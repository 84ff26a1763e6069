"""A tokenizer read from the files of a folder alone, for engines that need no transformers and no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from kedge.core.errors import Invalid
from kedge.serve.decoding.tokens import Tokens

_ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")


class FileTokens(Tokens):
    """Tokens of `tokenizer.json`; ends, roles and context from the configuration beside it."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "tokenizer.json").is_file():
            raise Invalid("the folder has no tokenizer.json", address=str(folder), hint="export the model anew")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._backend: Any = tokenizer
        said, config = _read(folder / "tokenizer_config.json"), _read(folder / "config.json")
        model = config.get("text_config") or config
        self.size = max(int(model.get("vocab_size") or 0), tokenizer.get_vocab_size())
        self._roles = {role: _text(said[role]) for role in _ROLES if said.get(role)}
        ids = {role: tokenizer.token_to_id(text) for role, text in self._roles.items()}
        self.ends = _ends(_read(folder / "generation_config.json"), config, ids.get("eos_token"))
        self.pad = next((token for token in (ids.get("pad_token"), *sorted(self.ends)) if token is not None), 0)
        self.longest = max((len(token) for token in tokenizer.get_vocab()), default=1)
        named = model.get("max_position_embeddings") or said.get("model_max_length") or 0
        self.context = int(named) if named < 2**40 else 0  # tokenizers without a limit name an absurd one
        begin = ids.get("bos_token")
        self.beginning = [begin] if begin is not None else [min(self.ends, default=self.pad)]

    @property
    def special(self) -> Mapping[str, str]:
        """The special tokens by role, as chat templates name them."""
        return dict(self._roles)

    @property
    def reserved(self) -> Sequence[str]:
        """All special tokens: what they mean no caller can say by writing them."""
        added = self._backend.get_added_tokens_decoder().values()
        return [*self._roles.values(), *(token.content for token in added if token.special)]

    def encode(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        """The tokens of each text; with `special`, those the tokenizer puts around a text too."""
        encoded = self._backend.encode_batch_fast(list(texts), add_special_tokens=special)
        return [each.ids for each in encoded]

    def encode_around(self, text: str, literals: Mapping[str, str], *, special: bool) -> list[int]:
        """The tokens of a text in which signs stand for what is only text, whatever it looks like."""
        tokens = list(self._before) if special else []
        for part in re.split("(" + "|".join(re.escape(sign) for sign in literals) + ")", text):
            self._backend.encode_special_tokens = part in literals
            tokens += self._backend.encode(literals.get(part, part), add_special_tokens=False).ids
        self._backend.encode_special_tokens = False
        return tokens

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens, special ones left out."""
        return str(self._backend.decode(tokens, skip_special_tokens=True))


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return content


def _text(token: Any) -> str:
    """A special token's text; some files keep it with its flags."""
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _ends(generation: Mapping[str, Any], config: Mapping[str, Any], own: int | None) -> frozenset[int]:
    """The tokens that end an answer, in the order in which `generate` looks for them."""
    for named in (generation.get("eos_token_id"), config.get("eos_token_id"), own):
        if named is not None:
            return frozenset([named] if isinstance(named, int) else named)
    return frozenset()
