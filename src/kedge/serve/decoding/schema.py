"""Answers that obey a JSON schema: at each token, which ones may come next. By llguidance."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import llguidance.hf
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from kedge.core.errors import Invalid

# One space at most between things: a model without a mind of its own would make white space without end.
_FORM: Any = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
_LIMITS = LLParserLimits(
    initial_lexer_fuel=200_000,
    step_lexer_fuel=100_000,
    max_lexer_states=20_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)


class Matcher:
    """One answer as far as it has come."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def done(self) -> bool:
        """Whether nothing can follow."""
        return self._matcher.is_stopped()

    @property
    def trouble(self) -> str:
        """Why it cannot be obeyed any further ("" while it can)."""
        return f"the schema cannot be obeyed: {self._matcher.get_error()[:200]}" if self._matcher.is_error() else ""

    def allowed(self) -> bytes:
        """Which tokens may come next: a bit each, the lowest first."""
        return self._matcher.compute_bitmask()

    def take(self, token: int) -> None:
        """Go on by one token."""
        self._matcher.consume_token(token)


class Schemas:
    """Makes matchers for one tokenizer. Nothing is kept between requests."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, ends: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._ends = sorted(ends)

    def match(self, schema: str) -> Matcher:
        """A matcher at its beginning. `Invalid` says why the schema cannot be obeyed."""
        grammar = LLMatcher.grammar_from_json_schema(schema, defaults=_FORM)
        matcher = Matcher(LLMatcher(self._known, grammar, log_level=0, limits=_LIMITS))
        if matcher.trouble:
            raise Invalid(matcher.trouble)
        return matcher

    @cached_property
    def _known(self) -> LLTokenizer:
        """The tokenizer as llguidance knows it: a second of work for a large one, so only once it is needed."""
        return llguidance.hf.from_tokenizer(self._tokenizer, n_vocab=self._vocabulary, eos_token=self._ends or None)
