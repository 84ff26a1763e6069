"""Numbers and addresses that name a person are found where they are, and nothing else is."""

from __future__ import annotations

import time

import pytest

from kedge.text.checksums import iban, iso7064, luhn
from kedge.text.identifiers import find_identifiers
from kedge.text.spans import Span, fold, replace_spans, without_overlaps


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.begin : span.end]) for span in find_identifiers(text)]


@pytest.mark.parametrize(
    ("kind", "value", "before"),
    [
        ("email", "ann.lee+news@example.co.uk", "write to "),
        ("email", "o'brien@example.org", "from <"),
        ("email", "jörg@müller.de", "an "),
        ("phone", "+44 20 7946 0958", ""),
        ("phone", "+49(0)1234 567890", ""),
        ("phone", "(212) 555-0123", "my number: "),
        ("phone", "212-555-0123 x12", ""),
        ("phone", "(0118) 496 0123", ""),
        ("phone", "01 23 45 67 89", ""),
        ("phone", "2125550123", "phone: "),
        ("phone", "05261123456", "Tel.: "),
        ("iban", "DE89 3704 0044 0532 0130 00", "IBAN "),
        ("iban", "GB82WEST12345698765432", "to "),
        ("card", "4111 1111 1111 1111", ""),
        ("card", "3782-822463-10005", "amex "),
        ("card", "5555555555554444", "my card number is "),
        ("ip", "192.168.1.17", "from "),
        ("ip", "2001:db8::8a2e:370:7334", "host "),
        ("us_ssn", "123-45-6789", ""),
        ("us_ssn", "123456789", "SSN: "),
        ("uk_nino", "AB 12 34 56 C", "NI "),
        ("es_nif", "12345678Z", "DNI "),
        ("es_nif", "X1234567L", "NIE "),
        ("it_fiscal_code", "RSSMRA85T10A562S", "CF "),
        ("fr_nir", "1 84 12 76 451 089 46", ""),
        ("pl_pesel", "44051401359", "PESEL "),
        ("nl_bsn", "111222333", "BSN "),
        ("be_nrn", "85.07.30-033.28", ""),
        ("de_tax_id", "86 095 742 719", "Steuer-ID: "),
    ],
)
def test_what_names_a_person_is_found_with_its_bounds(kind: str, value: str, before: str) -> None:
    assert found(f"{before}{value}, and more") == [(kind, value)]
    assert found(f"A line.\n{before}{value}\nanother") == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:kedge/kedge.git",
        "scores = q@k.transpose(0, 1) and a@b.T",
        "postgres://ann:secret@db.example.com/x",
        "@property def x(self): 12:30:45",
        "released on 2024-01-02, version 1.2.3.4, see section 4.1.2.3",
        "ObjectIdentifier('2.5.4.10'), 1.3.6.1.4.1, 127.0.0.1, 0.0.0.0, 255.255.255.0",
        "std::vector<abc::def> and fe::",
        "Boston, MA 02110-1301 USA, copyright 2006-2022",
        "4111 1111 1111 1112 and 1234567812345678",
        "x = 4111111111111111",
        "000-12-3456 and 666-12-3456 and 900-12-3456",
        "44051401359 and 111222333",
        "GB82WEST12345698765433 12345678A",
        "0x7fffffffffff 1700000000000000000 3.141592653589793 1e-10",
        "ticket 555-1234-99 of 2024/03/04 12:00",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_hidden_characters_and_full_width_digits_hide_nothing() -> None:
    assert found("an\u200bn@exa\u00admple.com!") == [("email", "an\u200bn@exa\u00admple.com")]
    assert found("\uff14\uff11\uff11\uff11 1111\u00a01111 1111") == [
        ("card", "\uff14\uff11\uff11\uff11 1111\u00a01111 1111")
    ]


def test_only_the_kinds_asked_for_are_looked_for() -> None:
    text = "ann@example.com from 10.1.2.3"
    assert [span.kind for span in find_identifiers(text, ("ip",))] == ["ip"]


@pytest.mark.parametrize(
    "text", ["a@" * 50_000, "1" * 100_000, "1-" * 50_000, "A1" * 50_000, ":" * 100_000, "1.1." * 30_000]
)
def test_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    begin = time.process_time()
    find_identifiers(text)
    assert time.process_time() - begin < 20  # a quadratic search would take hours


def test_spans_are_replaced_and_overlaps_resolved() -> None:
    spans = without_overlaps([Span(4, 9, "b"), Span(0, 5, "a"), Span(6, 8, "c")])
    assert spans == [Span(0, 5, "a"), Span(6, 8, "c")]
    assert replace_spans("0123456789", spans, lambda kind, text: f"<{kind}{len(text)}>") == "<a5>5<c2>89"


def test_plain_text_is_not_folded() -> None:
    text = "plain caf\u00e9"
    assert fold(text).places is None
    assert fold(text).text is text


def test_check_digits() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert iban("DE89370400440532013000")
    assert not iban("DE8937040044053201300")
    assert iso7064("86095742719")
    assert not iso7064("86095742718")
