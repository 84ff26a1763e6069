"""Which rules of quality hold, and where they draw the line."""

from __future__ import annotations

from dataclasses import dataclass

from kedge.core.errors import Invalid

PREFIX = "quality_"  # of the columns that hold counts
SETS = ("gopher_quality", "gopher_repetition", "c4", "fineweb")


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityOptions:
    """`rules` are sets of rules by name; none of them only counts. The defaults are those of the papers.

    Counts are kept beside the text as columns `quality_NAME`, so that other rules and thresholds read no text again.
    Gopher: `min_words` to `max_stop_words`, and the shares of what occurs again; C4: `min_sentences`; FineWeb: the rest.
    """

    rules: tuple[str, ...] = ()
    min_words: int = 50
    max_words: int = 100_000
    min_word_chars: float = 3
    max_word_chars: float = 10
    max_symbols: float = 0.1
    max_bullet_lines: float = 0.9
    max_ellipsis_lines: float = 0.3
    min_alpha_words: float = 0.8
    min_stop_words: int = 2
    max_dup_paragraphs: float = 0.3
    max_dup_paragraph_chars: float = 0.2
    max_dup_lines: float = 0.3
    max_dup_line_chars: float = 0.2
    max_top_grams: tuple[float, float, float] = (0.2, 0.18, 0.16)
    max_dup_grams: tuple[float, float, float, float, float, float] = (0.15, 0.14, 0.13, 0.12, 0.11, 0.10)
    min_sentences: int = 5
    min_ended_lines: float = 0.12
    max_short_lines: float = 0.67
    max_dup_chars: float = 0.01
    max_newlines: float = 0.3

    def __post_init__(self) -> None:
        unknown = [name for name in self.rules if name not in SETS]
        if unknown:
            raise Invalid(f"there is no set of quality rules {unknown[0]!r}", hint=f"one of {', '.join(SETS)}")
