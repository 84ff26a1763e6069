"""The counts by which texts are judged, each with its place in a row of them."""

from __future__ import annotations

COUNTS = (
    "chars", "words", "plain_words", "plain_chars", "alpha_words", "stop_words", "hashes", "ellipses", "lines",
    "bullet_lines", "ellipsis_lines", "paragraphs", "dup_paragraphs", "dup_paragraph_chars", "runs", "dup_runs",
    "dup_run_chars", "top_2", "top_3", "top_4", "dup_5", "dup_6", "dup_7", "dup_8", "dup_9", "dup_10", "sentences",
    "curly_line", "lorem_line", "full_lines", "ended_lines", "short_lines", "dup_line_chars", "newlines",
)  # fmt: skip
(
    CHARS, WORDS, PLAIN_WORDS, PLAIN_CHARS, ALPHA_WORDS, STOP_WORDS, HASHES, ELLIPSES, LINES,
    BULLET_LINES, ELLIPSIS_LINES, PARAGRAPHS, DUP_PARAGRAPHS, DUP_PARAGRAPH_CHARS, RUNS, DUP_RUNS,
    DUP_RUN_CHARS, TOP_2, _TOP_3, _TOP_4, DUP_5, _DUP_6, _DUP_7, _DUP_8, _DUP_9, _DUP_10, SENTENCES,
    CURLY_LINE, LOREM_LINE, FULL_LINES, ENDED_LINES, SHORT_LINES, DUP_LINE_CHARS, NEWLINES,
) = range(len(COUNTS))  # fmt: skip
