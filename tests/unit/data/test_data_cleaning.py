"""Texts are repaired, judged and kept apart, and every row that goes is named with its reason."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kedge.core.errors import Invalid
from kedge.data.clean.rows import open_clean
from kedge.data.clean.types import CleanOptions
from kedge.data.columns import string_buffers
from kedge.data.contract import open_contract
from kedge.data.contract_types import ColumnRule, ContractOptions
from kedge.data.keyed import to_batch
from kedge.data.overlap import collect_runs, open_overlap, overlap_stage
from kedge.data.quality.count import open_count
from kedge.data.quality.judge import count_columns, judge_rows
from kedge.data.quality.rules import judge
from kedge.data.quality.types import QualityOptions
from kedge.data.stage import Passed, apply_stages
from kedge.testing.data import MemoryRows, make_rows

PROSE = (
    "The keeper of the light went up the stairs that night with a lamp in his hand. He had to be quick, for the storm "
    "was near and the ships were late. It was not the first time. The sea has its own mind, and the men of the coast "
    "have learned to read it. They watch the birds, and they watch the sky, and they do not sleep. When the morning "
    "came, every ship was home."
)


def inputs(passed: Passed) -> list[str]:
    texts: list[str] = passed.batch.column("input").to_pylist()
    return texts


def clean(*texts: str, **options: object) -> Passed:
    return open_clean(CleanOptions(**options))(to_batch(make_rows(*texts)))  # type: ignore[arg-type]  # from keywords


def test_what_was_decoded_wrongly_is_repaired_and_the_rest_left_alone() -> None:
    texts = ("cafÃ© â€œquotedâ€\x9d", "déjà vu", "plain")
    assert inputs(clean(*texts, mojibake=True)) == ["café “quoted”", "déjà vu", "plain"]


def test_pages_become_text_and_code_that_mentions_tags_stays() -> None:
    page = (
        "<!doctype html><html><head><title>t</title><script>a<b</script></head><body><nav>menu</nav>"
        "<h1>Hi &amp; you</h1><p>One <b>two</b>\n three.<br>four</p></body></html>"
    )
    code = "def f(x):\n    return '<b>' + x + '</b>' if x < 3 else list[int]"
    assert inputs(clean(page, code, html="detect")) == ["Hi & you\nOne two three.\nfour", code]


def test_a_hostile_page_takes_no_time_by_its_square() -> None:
    assert inputs(clean("<div>" * 200_000 + "x", html="always")) == ["x"]


def test_lines_of_notices_go_and_a_page_of_nothing_else_is_rejected() -> None:
    found = clean(
        "Home\nA real line stays here.\nWe use cookies to serve you.", "Skip to main content", boilerplate=True
    )
    assert inputs(found) == ["A real line stays here."]
    assert [(reject.reason, reject.source) for reject in found.rejects] == [("clean:empty", "f:2")]


def test_blank_lines_are_limited() -> None:
    assert inputs(clean("a\n\n\n \n\nb", blank_lines=1)) == ["a\n\nb"]


def test_languages_are_told_and_others_rejected() -> None:
    german = "Der Wärter des Leuchtturms ging in jener Nacht mit einer Lampe in der Hand die Treppe hinauf."
    found = clean(PROSE, german, "too short", languages=("en",))
    assert inputs(found) == [PROSE, "too short"]
    assert found.batch.column("language").to_pylist() == ["en", ""]
    assert [(reject.reason, reject.detail[:8]) for reject in found.rejects] == [("language", "it is de")]


def test_counts_are_columns_and_rules_read_them_without_the_text() -> None:
    spam = "buy now " * 200
    rows = MemoryRows(make_rows(PROSE, spam, "short"))
    rows.batch = apply_stages([open_count(())], rows.batch).batch
    counts = count_columns(pa.Table.from_batches([rows.batch]))
    assert counts["chars"].tolist() == [len(PROSE), len(spam), 5]
    told = judge_rows(rows, QualityOptions(rules=("gopher_quality", "gopher_repetition")))
    assert told.rows.tolist() == [1, 2]
    assert told.reasons == ["quality:gopher_enough_stop_words", "quality:gopher_short_doc"]
    assert told.details[1] == "gopher_quality: plain_words 1"
    lenient = judge_rows(rows, QualityOptions(rules=("gopher_quality",), min_words=1, min_stop_words=0))
    assert lenient.rows.tolist() == []


@pytest.mark.parametrize(
    ("rules", "text", "reason"),
    [
        ("c4", "too few. sentences here.", "too_few_sentences"),
        ("c4", "This line has a { in it and ends well.", "curly_bracket"),
        ("c4", "This Lorem Ipsum line ends well.", "lorem_ipsum"),
        ("fineweb", "", "empty"),
        ("fineweb", "no end\nnone here either\n", "line_punct_ratio"),
        ("fineweb", "Same line here that is long enough.\n" * 3, "char_dup_ratio"),
        ("gopher_repetition", "a\na\na\nb", "dup_line_frac"),
        ("gopher_repetition", "", "empty"),
        ("gopher_repetition", PROSE, ""),
        ("c4", PROSE, ""),
    ],
)
def test_the_first_rule_that_drops_a_text_is_the_reason(rules: str, text: str, reason: str) -> None:
    batch = open_count(())(to_batch(make_rows(text))).batch
    assert judge(count_columns(pa.Table.from_batches([batch])), rules, QualityOptions()) == [reason]


def test_a_slice_of_a_column_has_its_own_strings() -> None:
    column = pa.array(["one", "two", "three"]).slice(1, 2)
    data, offsets = string_buffers(column)
    assert [bytes(data[a:b]) for a, b in pairwise(offsets)] == [b"two", b"three"]


def test_counts_do_not_depend_on_how_rows_are_cut_into_batches() -> None:
    texts = [PROSE[i:] for i in range(0, 200, 7)] + ["", "x", "é" * 50]
    whole = open_count(())(to_batch(make_rows(*texts))).batch
    single = [open_count(())(to_batch([row])).batch for row in make_rows(*texts)]
    parts = pa.Table.from_batches(single)
    for name in (name for name in whole.schema.names if name.startswith("quality_")):
        assert np.array_equal(whole.column(name).to_numpy(), parts.column(name).to_numpy())


def test_rows_that_hold_an_evaluations_text_are_named(tmp_path: Path) -> None:
    held_out = "what the keeper of the lighthouse saw on the night of the storm was a ship without a crew"
    runs = collect_runs([("test.jsonl:1", held_out), ("test.jsonl:2", "A short but telling question?")], 13)
    stage = open_overlap(overlap_stage(runs, 13, tmp_path).options)
    copied = f"Some text. WHAT the keeper -- of the lighthouse saw on the night of the storm was a ship! {PROSE}"
    passed = stage(to_batch(make_rows(PROSE, copied, "He asked a short, but telling, question and left.")))
    assert inputs(passed) == [PROSE]
    assert [(reject.reason, reject.detail) for reject in passed.rejects] == [
        ("overlap", "13 words in a row of test.jsonl:1"),
        ("overlap", "5 words in a row of test.jsonl:2"),
    ]


@pytest.mark.parametrize(
    "held_out",
    [
        "Die große Straße an der Weser ist heißer als je",  # one character that is two as a capital
        "A fall of 5 \N{MICRO SIGN}m in the layer of a\N{MICRO SIGN}",  # whose capital is another letter's too
        "\N{LATIN SMALL LETTER DOTLESS I}ş\N{LATIN SMALL LETTER DOTLESS I}k ve su ile dolu bir oda",
        "\N{GREEK SMALL LETTER UPSILON WITH DIALYTIKA AND TONOS}πνος και όνειρο στην ίδια νύχτα",
        "नदी के किनारे बहुत पुराना मंदिर है",  # with vowel signs, which are no letters of their own
    ],
)
def test_no_language_hides_an_evaluations_text_in_capitals(held_out: str, tmp_path: Path) -> None:
    stage = open_overlap(overlap_stage(collect_runs([("test.jsonl:1", held_out)], 13), 13, tmp_path).options)
    passed = stage(to_batch(make_rows(f"Text. {held_out.upper()}! And more of it.", PROSE)))
    assert inputs(passed) == [PROSE]
    assert passed.rejects[0].detail.endswith("words in a row of test.jsonl:1")


def test_rules_of_a_contract_name_the_rows_that_break_them() -> None:
    rules = {
        "input": ColumnRule(min_chars=3),
        "target": ColumnRule(one_of=("yes", "no")),
        "year": ColumnRule(type="integer", required=False, min=2000),
    }
    rows = [
        *make_rows("good", target="yes", year=2020),
        *make_rows("no year", target="no"),
        *make_rows("ab", target="yes"),
        *make_rows("bad target", target="maybe"),
        *make_rows("old", target="no", year=1999),
        *make_rows("odd", target="no", year="2020"),
        *make_rows("none"),
    ]
    passed = open_contract(ContractOptions(columns=rules))(to_batch(rows))
    assert inputs(passed) == ["good", "no year"]
    assert [(reject.reason, reject.detail) for reject in passed.rejects] == [
        ("contract:input", "input is 'ab': the least is 3 characters"),
        ("contract:target", "target is 'maybe': it is none of yes, no"),
        ("contract:year", "year is '1999': the least is 2000"),
        ("contract:year", "year is '2020': integer is wanted"),
        ("contract:target", "target is missing"),
    ]


def test_a_contract_holds_of_the_whole_too() -> None:
    contract = ContractOptions(min_rows=10, max_rejected=0.2)
    assert contract.broken_by(10, 1) == []
    assert len(contract.broken_by(9, 9)) == 2


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(Invalid, match="gopher"):
        QualityOptions(rules=("gofer",))
    with pytest.raises(Invalid, match="regular expression"):
        ColumnRule(matches="(")
