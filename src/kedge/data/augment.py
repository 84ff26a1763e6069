"""Makes more rows of rows: the same said with slips of the keys, in other words, or anew by a model.

Each made row names what made it (`generator`) and what it was made of (`parent`) in its tags. The originals are given
beside them with themselves as parent, so that `split.group = "parent"` never divides a family.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kedge.core.dataset import Row
from kedge.data.rows import make_row

Rewrite = Callable[[str], str]

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_WORD = re.compile(r"[A-Za-z]+")


def augment(rows: Iterable[Row], generator: str, rewrite: Rewrite, *, copies: int = 1) -> Iterator[Row]:
    """Each row as its own parent, followed by up to `copies` rows made of it. A rewrite that changes nothing is left out."""
    for row in rows:
        yield from family(row, generator, (rewrite(row.input) for _ in range(copies)))


def family(row: Row, generator: str, texts: Iterable[str], settings: Mapping[str, Any] | None = None) -> Iterator[Row]:
    """A row as its own parent, and a row for each text that says something else. `settings` are the generator's."""
    yield replace(row, tags={**row.tags, "parent": row.id})
    seen = {row.input, ""}
    for number, text in enumerate(texts):
        if text not in seen:
            seen.add(text)
            told: dict[str, Any] = {"generator": generator, "parent": row.id}
            told |= {"generator_settings": dict(settings)} if settings else {}
            tags = {**row.tags, **told}
            yield make_row(input=text, target=row.target, source=f"{row.source}#{generator}-{number}", tags=tags)


def noise(share: float = 0.02, *, seed: int = 0) -> Rewrite:
    """Slips of the keys in this share of the letters: a neighbour, one left out, one doubled, or two exchanged."""
    chance = random.Random(seed)

    def rewrite(text: str) -> str:
        characters = list(text)
        at = 0
        while at < len(characters):
            if characters[at].isalpha() and characters[at].isascii() and chance.random() < share:
                at += _slip(characters, at, chance)
            at += 1
        return "".join(characters)

    return rewrite


def synonyms(words: Mapping[str, Sequence[str]], share: float = 0.2, *, seed: int = 0) -> Rewrite:
    """Other words from a list in this share of the places where there is one; capitals stay."""
    chance = random.Random(seed)

    def other(match: re.Match[str]) -> str:
        word = match[0]
        choices = words.get(word.lower(), ())
        if not choices or chance.random() >= share:
            return word
        chosen = chance.choice(list(choices))
        return chosen.capitalize() if word[0].isupper() else chosen

    return lambda text: _WORD.sub(other, text)


def _slip(characters: list[str], at: int, chance: random.Random) -> int:
    """Change the letters at one place; how many more of them to pass over."""
    kind = chance.randrange(4)
    if kind == 0:
        row = next(keys for keys in _KEYS if characters[at].lower() in keys)
        place = row.index(characters[at].lower())
        neighbour = row[place - 1] if place else row[1]
        characters[at] = neighbour.upper() if characters[at].isupper() else neighbour
    elif kind == 1:
        characters[at] = ""
    elif kind == 2:
        characters[at] *= 2
    elif at + 1 < len(characters):
        characters[at], characters[at + 1] = characters[at + 1], characters[at]
        return 1
    return 0
