"""The rules of Gopher, C4 and FineWeb, over columns of counts: judging a million texts again takes a second.

A rule is a reason, the counts it reads, and when it drops a text. Names and order of the reasons are datatrove's, so
that decisions can be compared; the first rule that drops a text is the reason it is dropped for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kedge.data.quality.types import QualityOptions

Counts = Mapping[str, NDArray[np.int64]]
Drops = Callable[[Counts, QualityOptions], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`reads` are the counts that say why, for the ledger of rejects."""

    reason: str
    reads: tuple[str, ...]
    drops: Drops


def _share(counts: Counts, part: str, whole: str) -> NDArray[np.float64]:
    """One count by another; nothing is a share of 0 of nothing."""
    return counts[part] / np.maximum(counts[whole], 1)


def _more(part: str, whole: str, option: str) -> Drops:
    return lambda counts, options: _share(counts, part, whole) > getattr(options, option)


def _less(part: str, whole: str, option: str) -> Drops:
    return lambda counts, options: _share(counts, part, whole) < getattr(options, option)


GOPHER_QUALITY = (
    Rule("gopher_short_doc", ("plain_words",), lambda c, o: c["plain_words"] < o.min_words),
    Rule("gopher_long_doc", ("plain_words",), lambda c, o: c["plain_words"] > o.max_words),
    Rule("gopher_below_avg_threshold", ("plain_chars", "plain_words"), _less("plain_chars", "plain_words", "min_word_chars")),
    Rule("gopher_above_avg_threshold", ("plain_chars", "plain_words"), _more("plain_chars", "plain_words", "max_word_chars")),
    Rule("gopher_too_many_hashes", ("hashes", "words"), _more("hashes", "words", "max_symbols")),
    Rule("gopher_too_many_ellipsis", ("ellipses", "words"), _more("ellipses", "words", "max_symbols")),
    Rule("gopher_too_many_bullets", ("bullet_lines", "lines"), _more("bullet_lines", "lines", "max_bullet_lines")),
    Rule("gopher_too_many_end_ellipsis", ("ellipsis_lines", "lines"), _more("ellipsis_lines", "lines", "max_ellipsis_lines")),
    Rule("gopher_below_alpha_threshold", ("alpha_words", "words"), _less("alpha_words", "words", "min_alpha_words")),
    Rule("gopher_enough_stop_words", ("stop_words",), lambda c, o: c["stop_words"] < o.min_stop_words),
)  # fmt: skip


def _gram(name: str, at: int, option: str) -> Drops:
    return lambda counts, options: _share(counts, name, "chars") > getattr(options, option)[at]


GOPHER_REPETITION = (
    Rule("empty", ("chars",), lambda c, o: c["chars"] == 0),
    Rule("dup_para_frac", ("dup_paragraphs", "paragraphs"), _more("dup_paragraphs", "paragraphs", "max_dup_paragraphs")),
    Rule("dup_para_char_frac", ("dup_paragraph_chars", "chars"), _more("dup_paragraph_chars", "chars", "max_dup_paragraph_chars")),
    Rule("dup_line_frac", ("dup_runs", "runs"), _more("dup_runs", "runs", "max_dup_lines")),
    Rule("dup_line_char_frac", ("dup_run_chars", "chars"), _more("dup_run_chars", "chars", "max_dup_line_chars")),
    *(Rule(f"top_{n}_gram", (f"top_{n}", "chars"), _gram(f"top_{n}", n - 2, "max_top_grams")) for n in (2, 3, 4)),
    *(Rule(f"duplicated_{n}_n_grams", (f"dup_{n}", "chars"), _gram(f"dup_{n}", n - 5, "max_dup_grams")) for n in range(5, 11)),
)  # fmt: skip

_NEVER = np.iinfo(np.int32).max


def _first(here: str, there: str) -> Drops:
    """There is such a line, and none of the other kind before it."""
    return lambda counts, _: (counts[here] > 0) & (counts[here] < np.where(counts[there] > 0, counts[there], _NEVER))


C4 = (
    Rule("lorem_ipsum", ("lorem_line",), _first("lorem_line", "curly_line")),
    Rule("curly_bracket", ("curly_line",), _first("curly_line", "lorem_line")),
    Rule("too_few_sentences", ("sentences",), lambda c, o: c["sentences"] < o.min_sentences),
)


def _list_ratio(counts: Counts, options: QualityOptions) -> NDArray[np.bool_]:
    return _share(counts, "newlines", "words") > options.max_newlines


def _repeated(counts: Counts, options: QualityOptions) -> NDArray[np.bool_]:
    share: NDArray[np.float64] = counts["dup_line_chars"] / np.maximum(counts["chars"] - counts["newlines"], 1)
    return share > options.max_dup_chars


FINEWEB = (
    Rule("empty", ("full_lines",), lambda c, o: c["full_lines"] == 0),
    Rule("line_punct_ratio", ("ended_lines", "full_lines"), _less("ended_lines", "full_lines", "min_ended_lines")),
    Rule("short_line_ratio", ("short_lines", "full_lines"), _more("short_lines", "full_lines", "max_short_lines")),
    Rule("char_dup_ratio", ("dup_line_chars", "chars"), _repeated),
    Rule("list_ratio", ("newlines", "words"), _list_ratio),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "gopher_quality": GOPHER_QUALITY,
    "gopher_repetition": GOPHER_REPETITION,
    "c4": C4,
    "fineweb": FINEWEB,
}


def judge(counts: Counts, name: str, options: QualityOptions) -> list[str]:
    """For each text the reason for which a set of rules drops it; "" if it does not."""
    rules = RULES[name]
    dropped = np.stack([rule.drops(counts, options) for rule in rules])
    first = np.where(dropped.any(axis=0), dropped.argmax(axis=0), len(rules))
    reasons = [*(rule.reason for rule in rules), ""]
    return [reasons[i] for i in first]
