"""Numbers by which states know their people, each checked as far as it can be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from kedge.text.checksums import iso7064, weighted

_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD_VALUES = dict(
    zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True),
) | dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of number. `holds` checks it without its separators.

    With `context`, one of these words must stand near it: the pattern alone would match too many other numbers.
    `digits` are the fewest that it has.
    """

    kind: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]
    context: re.Pattern[str] | None = None
    digits: int = 0


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)


def _ssn(digits: str) -> bool:
    return digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def _tax_id(digits: str) -> bool:
    """One digit of the first ten occurs twice or three times, at least one not at all."""
    counts = sorted(Counter(digits[:10]).values(), reverse=True)
    return digits[0] != "0" and counts[0] in {2, 3} and counts[1] <= 2 and len(counts) < 10 and iso7064(digits)


def _nir(digits: str) -> bool:
    number = digits[:13].replace("2A", "19").replace("2B", "18")
    month = int(number[3:5])
    return (1 <= month <= 12 or 20 <= month <= 42 or month >= 50) and 97 - int(number) % 97 == int(digits[13:])


def _nif(text: str) -> bool:
    number = text[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _DNI[int(number) % 23] == text[-1]


def _fiscal_code(text: str) -> bool:
    total = sum(_ODD_VALUES[each] for each in text[:15:2])
    total += sum(int(each) if each.isdigit() else ord(each) - 65 for each in text[1:15:2])
    return chr(65 + total % 26) == text[15]


def _bsn(digits: str) -> bool:
    return int(digits) > 0 and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _pesel(digits: str) -> bool:
    month = int(digits[2:4]) % 20
    day = int(digits[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _nrn(digits: str) -> bool:
    check = int(digits[9:])
    return 97 - int(digits[:9]) % 97 == check or 97 - int("2" + digits[:9]) % 97 == check


def _always(_: str) -> bool:
    return True


# Kinds whose shape is rare enough to stand alone, and those that need a word beside them.
DIGITS = (
    Rule("us_ssn", re.compile(r"(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-])"), _ssn, digits=9),
    Rule(
        "us_ssn",
        re.compile(r"(?<![\w-])[0-9]{3} ?[0-9]{2} ?[0-9]{4}(?![\w-])"),
        _ssn,
        _words("ssn", "social security", "soc sec"),
        9,
    ),
    Rule(
        "fr_nir",
        re.compile(
            r"(?<![\w.,])[12]([ .]?)[0-9]{2}\1[0-9]{2}\1(?:[0-9]{2}|2[AB])\1[0-9]{3}\1[0-9]{3}\1[0-9]{2}(?!\w|\.[0-9])"
        ),
        _nir,
        digits=13,
    ),
    Rule(
        "de_tax_id",
        re.compile(r"(?<![\w.])[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}(?!\w)"),
        _tax_id,
        _words(
            "steuer-?id\\w*", "steuer-?(?:identifikations-?)?nummer", "idnr", "tin", "tax id\\w*", "steuerliche \\w+"
        ),
        11,
    ),
    Rule(
        "nl_bsn",
        re.compile(r"(?<![\w.])[0-9]{4}[ .]?[0-9]{2}[ .]?[0-9]{3}(?!\w)"),
        _bsn,
        _words("bsn", "burgerservicenummer", "sofi-?nummer"),
        9,
    ),
    Rule("pl_pesel", re.compile(r"(?<![\w.])[0-9]{11}(?!\w)"), _pesel, _words("pesel"), 11),
    Rule("be_nrn", re.compile(r"(?<!\w)[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}(?!\w)"), _nrn, digits=11),
    Rule(
        "be_nrn",
        re.compile(r"(?<![\w.])[0-9]{11}(?!\w)"),
        _nrn,
        _words("rijksregister\\w*", "registre national", "national register", "insz", "niss"),
        11,
    ),
)

LETTERS = (
    Rule(
        "it_fiscal_code",
        re.compile(
            r"(?<!\w)[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z](?!\w)"
        ),
        _fiscal_code,
    ),
    Rule("es_nif", re.compile(r"(?<![\w/.-])(?:[0-9]{8}|[XYZ][0-9]{7})-?[A-HJ-NP-TV-Z](?![\w-])"), _nif),
    Rule(
        "uk_nino",
        re.compile(r"(?<!\w)(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?(?:[0-9]{2} ?){3}[A-D](?!\w)"),
        _always,
    ),
)
