"""Makes a corpus with a known truth: installed Python source and docs, with duplicates, near-duplicates, PII, HTML, mojibake.

    python benchmarks/corpus.py FOLDER [--documents 200000] [--seed 0]

Writes `corpus.jsonl` (one `{"text": ...}` a line) and `truth.jsonl`, line by line what was done to each document:
`kind`, `of` (the line it was made of) and `values` (what was planted, by kind). The same machine gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import random
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = {".py", ".md", ".rst", ".txt", ".pyi"}
SIZES = (600, 900, 1500, 2500, 3500)
SHARES = {"exact": 0.05, "near": 0.075, "pii": 0.05, "html": 0.015, "mojibake": 0.01, "secret": 0.005}


@dataclass(frozen=True)
class Document:
    """A text, and what is known of it."""

    text: str
    kind: str = "base"
    of: int = -1
    values: tuple[tuple[str, str], ...] = ()


def pieces(chance: random.Random) -> Iterator[str]:
    """Pieces of installed source and docs, each there once, in an order that the seed decides."""
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "/usr/share/doc", "/usr/lib/python3"}
    files = sorted({path for folder in folders for path in Path(folder).rglob("*") if path.suffix in SUFFIXES})
    chance.shuffle(files)
    seen: set[int] = set()
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        at = 0
        while at < len(text):
            size = chance.choice(SIZES)
            piece, at = text[at : at + size].strip(), at + size
            if len(piece) > 200 and hash_of(piece) not in seen and "\0" not in piece:
                seen.add(hash_of(piece))
                yield piece


def hash_of(text: str) -> int:
    """A number for a text that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def edited(text: str, chance: random.Random) -> str:
    """A near-duplicate: 1 to 6 % of the words replaced, dropped or doubled."""
    words = text.split(" ")
    for _ in range(max(1, int(len(words) * chance.uniform(0.01, 0.06)))):
        at = chance.randrange(len(words))
        words[at] = chance.choice(["", f"{words[at]} {words[at]}", f"w{chance.randrange(10**6)}"])
    return " ".join(words)


def digits(chance: random.Random, count: int) -> str:
    """Random digits."""
    return "".join(chance.choices("0123456789", k=count))


def luhn(body: str) -> str:
    """The digits with their check digit."""
    total = sum(int(d) * 2 - 9 * (int(d) > 4) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(body)))
    return body + str(-total % 10)


def card(chance: random.Random) -> str:
    """A card number of a known brand."""
    prefix = chance.choice(["4", "51", "55", "2223"])
    number = luhn(prefix + digits(chance, 15 - len(prefix)))
    return number if chance.random() < 0.4 else " ".join(number[i : i + 4] for i in range(0, 16, 4))


def iban(chance: random.Random) -> str:
    """An IBAN of Germany, Britain or Spain, in one piece or in groups."""
    country, body = chance.choice(
        [("DE", digits(chance, 18)), ("GB", "WEST" + digits(chance, 14)), ("ES", digits(chance, 20))]
    )
    number = int("".join(str(int(each, 36)) for each in f"{body}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{body}"
    return whole if chance.random() < 0.5 else " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))


def phone(chance: random.Random) -> str:
    """A telephone number as people write them."""
    area, exchange = str(chance.randrange(201, 990)), str(chance.randrange(200, 999))
    line = digits(chance, 4)
    return chance.choice(
        [
            f"({area}) {exchange}-{line}",
            f"{area}-{exchange}-{line}",
            f"{area}.{exchange}.{line}",
            f"+1 {area} {exchange} {line}",
            f"+44 20 {digits(chance, 4)} {digits(chance, 4)}",
            f"+49 30 {digits(chance, 7)}",
            f"(0118) 496 {digits(chance, 4)}",
            f"+33 6 {digits(chance, 2)} {digits(chance, 2)} {digits(chance, 2)} {digits(chance, 2)}",
        ]
    )


def email(chance: random.Random) -> str:
    """An address at a host that nobody has."""
    name = chance.choice(["ann", "bob.lee", "c_kim", "dora+news", "e.o'neil", "fritz-w"])
    host = chance.choice(["example.com", "mail.example.org", "example.co.uk", "uni.example.de", "example.io"])
    return f"{name}{chance.randrange(1000)}@{host}"


def ssn(chance: random.Random) -> str:
    """A social security number."""
    return f"{chance.randrange(100, 600)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}"


def nif(chance: random.Random) -> str:
    """A Spanish identity number."""
    number = digits(chance, 8)
    return number + "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def address(chance: random.Random) -> str:
    """An IP address."""
    if chance.random() < 0.2:
        return f"2001:db8:{chance.randrange(1, 9999):x}::{chance.randrange(1, 9999):x}"
    return ".".join(
        map(str, (chance.randrange(11, 223), chance.randrange(256), chance.randrange(256), chance.randrange(1, 255)))
    )


MAKERS: dict[str, tuple[Callable[[random.Random], str], tuple[str, ...]]] = {
    "email": (email, ("Contact {} for more.", "From: {}", "author = '{}'", "<{}>", "mailto:{}")),
    "phone": (phone, ("Call {} now.", "Tel: {}", "phone={}", "reach me at {} or by mail", "# support: {}")),
    "card": (card, ("card number {}", "Visa {} exp 12/29", "paid with card {}.", '"credit_card": "{}"')),
    "iban": (iban, ("IBAN {}", "transfer to {} today", "iban: '{}'", "account {}.")),
    "ip": (address, ("request from {}", "host = '{}'", "connected to {}:8080", "client {} failed")),
    "us_ssn": (ssn, ("SSN {}", "social security number: {}", "id {} on file")),
    "es_nif": (nif, ("DNI {}", "NIF: {}", "con DNI {} y")),
}


def with_values(text: str, chance: random.Random) -> Document:
    """The text with one to four planted lines that name a person."""
    lines, values = text.split("\n"), []
    for _ in range(chance.randrange(1, 5)):
        kind = chance.choice(sorted(MAKERS))
        make, frames = MAKERS[kind]
        value, frame = make(chance), chance.choice(frames)
        if kind == "ip" and ":" in value:
            frame = "request from {}"
        lines.insert(chance.randrange(len(lines) + 1), frame.format(value))
        values.append((kind, value))
    return Document("\n".join(lines), "pii", values=tuple(values))


def with_secret(text: str, chance: random.Random) -> Document:
    """The text with a key left in it."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    drawn = "".join(chance.choices(letters, k=40))
    kind, value = chance.choice(
        [
            ("aws_key", "AKIA" + "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))),
            ("github_token", "ghp_" + drawn[:36]),
            ("google_key", "AIza" + drawn[:35]),
            ("stripe_key", "sk_live_" + drawn[:24]),
        ]
    )
    return Document(f"{text}\nTOKEN = '{value}'\n", "secret", values=((kind, value),))


def page(text: str) -> str:
    """The text as a page."""
    body = "".join(f"<p>{html.escape(line)}</p>\n" for line in text.split("\n") if line.strip())
    return f"<!DOCTYPE html>\n<html><head><title>t</title><script>var a = 1;</script></head>\n<body><nav>Home</nav>\n{body}</body></html>"


def garbled(text: str) -> str:
    """Text that was decoded wrongly; a few words beyond ASCII make it show."""
    return f"{text}\nCafé “Größe” naïve façade — déjà vu.".encode().decode("cp1252", "replace").replace("\ufffd", "")


def documents(count: int, seed: int) -> Iterator[Document]:
    """So many documents with their truth, in an order that the seed decides."""
    chance = random.Random(seed)
    source = pieces(chance)
    wanted = {kind: int(count * share) for kind, share in SHARES.items()}
    texts: list[str] = []
    for text in source:
        texts.append(text)
        if len(texts) == count - wanted["exact"] - wanted["near"]:
            break
    made: list[Document] = []
    plants = ["pii"] * wanted["pii"] + ["html"] * wanted["html"] + ["mojibake"] * wanted["mojibake"]
    plants += ["secret"] * wanted["secret"] + ["base"] * (
        len(texts) - sum(wanted[k] for k in ("pii", "html", "mojibake", "secret"))
    )
    chance.shuffle(plants)
    for text, plant in zip(texts, plants, strict=False):
        if plant == "pii":
            made.append(with_values(text, chance))
        elif plant == "secret":
            made.append(with_secret(text, chance))
        else:
            change = {"html": page, "mojibake": garbled}.get(plant, str)
            made.append(Document(change(text), plant))
    bases = [i for i, document in enumerate(made) if document.kind == "base"]
    for kind in ("exact", "near"):
        for _ in range(wanted[kind]):
            of = chance.choice(bases)
            made.append(Document(made[of].text if kind == "exact" else edited(made[of].text, chance), kind, of))
    yield from made


def write(folder: Path, count: int, seed: int = 0) -> int:
    """Write both files; how many documents there are."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out, (folder / "truth.jsonl").open("w") as truth:
        for document in documents(count, seed):
            told: dict[str, Any] = {"kind": document.kind, "of": document.of, "values": document.values}
            out.write(json.dumps({"text": document.text}, ensure_ascii=False) + "\n")
            truth.write(json.dumps(told) + "\n")
            written += 1
    return written


def main() -> int:
    """Parse and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count = write(options.folder, options.documents, options.seed)
    size = (options.folder / "corpus.jsonl").stat().st_size
    print(f"{count:,} documents, {size / 1e6:,.1f} MB, {size / count:,.0f} bytes each on average")
    return 0 if count == options.documents else 1


if __name__ == "__main__":
    sys.exit(main())
