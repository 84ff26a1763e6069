"""Writes the rules by which English text is cut into words: `src/kedge/text/compiled/words.toml`.

    python benchmarks/word_rules.py > src/kedge/text/compiled/words.toml

Run it where spaCy 3.8 and datatrove 0.10 are installed (both under free licences: MIT, Apache-2.0). The rules are theirs,
as data; the code that follows them is ours, so that kedge's decisions can be compared with those of datatrove.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable

LIMIT = 0x33000  # code points beyond are in no class


def ranges(points: Iterable[int]) -> str:
    """Code points as `a-b c`, in hexadecimal."""
    parts: list[list[int]] = []
    for point in sorted(set(points)):
        if parts and parts[-1][1] == point - 1:
            parts[-1][1] = point
        else:
            parts.append([point, point])
    return " ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in parts)


def matching(pattern: str) -> str:
    """The code points that a character class matches."""
    found = re.compile(pattern)
    return ranges(i for i in range(LIMIT) if found.fullmatch(chr(i)))


def main() -> int:
    """Print the rules."""
    import spacy
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION
    from spacy.lang import char_classes as c
    from spacy.pipeline.sentencizer import Sentencizer

    tokenizer = spacy.blank("en").tokenizer
    single = [each for each in c.LIST_PUNCT + c.LIST_QUOTES + c.LIST_ICONS if each != "……"]
    prefix = "|".join(
        ["§", "%", "=", "—", "\u2013", "…", *single, *(x for x in c.LIST_CURRENCY if len(x.strip("\\")) == 1)]
    )
    classes = {
        "prefix": matching(prefix),
        "suffix": matching("|".join([*single, "…", "—", "\u2013"])),
        "lower": matching(f"[{c.ALPHA_LOWER}]"),
        "upper": matching(f"[{c.ALPHA_UPPER}]"),
        "alpha": matching(f"[{c.ALPHA}]"),
        "quote": matching(f"[{c.CONCAT_QUOTES}]"),
        "currency": matching("|".join(x for x in c.LIST_CURRENCY if len(x.strip("\\")) == 1)),
        "icon": matching("|".join(c.LIST_ICONS)),
        "before_dot": matching(f"[0-9{c.ALPHA_LOWER}%²\\-\\+{c.PUNCT}(?:{c.CONCAT_QUOTES})]"),
        "symbol": ranges(ord(each) for each in PUNCTUATION_SET),
        "terminal": ranges(ord(each) for each in TERMINAL_PUNCTUATION if len(each) == 1),
        "sentence_end": ranges(ord(each) for each in Sentencizer.default_punct_chars),
    }
    print("# Written by benchmarks/word_rules.py from spaCy", spacy.__version__, "(MIT) and datatrove (Apache-2.0).\n")
    print("# Classes of characters, as ranges of code points in hexadecimal.\n[classes]")
    for name, value in classes.items():
        print(f'{name} = "{value}"')
    print("\n[words]")
    print("# What is cut off behind a digit.\nunits =", json.dumps(sorted(set(c.LIST_UNITS)), ensure_ascii=False))
    rules = {key: [len(each[65]) for each in value] for key, value in tokenizer.rules.items() if not key.isspace()}
    print("\n# Stretches that are cut in their own way: the lengths of their words.\n[special]")
    for key in sorted(rules):
        print(f"{json.dumps(key, ensure_ascii=False)} = {rules[key]}")
    print("\n# Those that are cut otherwise first, and how: they are put together again wherever they stand.\n[mended]")
    for key in sorted(rules):
        if tokenizer.find_prefix(key) or tokenizer.find_infix(key) or tokenizer.find_suffix(key):
            # cut as an ordinary stretch: without special cases
            print(f"{json.dumps(key, ensure_ascii=False)} = {_plain(tokenizer, key)}")
    return 0


def _plain(tokenizer: object, text: str) -> list[int]:
    from spacy.tokenizer import Tokenizer

    plain = Tokenizer(
        tokenizer.vocab,  # type: ignore[attr-defined]  # spaCy is not installed where types are checked
        prefix_search=tokenizer.prefix_search,  # type: ignore[attr-defined]  # as above
        suffix_search=tokenizer.suffix_search,  # type: ignore[attr-defined]  # as above
        infix_finditer=tokenizer.infix_finditer,  # type: ignore[attr-defined]  # as above
        url_match=tokenizer.url_match,  # type: ignore[attr-defined]  # as above
    )
    return [len(token.text) for token in plain(text)]


if __name__ == "__main__":
    sys.exit(main())
