"""The cleaning of rows, step by step: encoding, markup, lines, language."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from kedge.data.arrays import from_numpy, strings
from kedge.data.clean.lines import drop_boilerplate, limit_blank_lines
from kedge.data.clean.types import CleanOptions
from kedge.data.columns import with_texts, without
from kedge.data.stage import Passed, RowStage

Fault = tuple[str, str] | None


def open_clean(options: CleanOptions) -> RowStage:
    """Cleans inputs and targets. A row of which nothing is left, or in another language, is rejected."""
    steps: list[Callable[[str], str]] = []
    if options.mojibake:
        steps.append(importlib.import_module("kedge.data.clean.repair").repair)
    if options.html != "keep":
        pages = importlib.import_module("kedge.data.clean.html")
        steps.append(pages.to_text if options.html == "always" else partial(_page_text, pages.is_html, pages.to_text))
    if options.boilerplate:
        steps.append(drop_boilerplate)
    if options.blank_lines >= 0:
        steps.append(partial(limit_blank_lines, most=options.blank_lines))
    identify = importlib.import_module("kedge.data.clean.language").open_identifier() if options.asks_language else None
    return partial(_clean, options, tuple(steps), identify)


def _page_text(is_html: Callable[[str], bool], to_text: Callable[[str], str], text: str) -> str:
    return to_text(text) if is_html(text) else text


def _clean(
    options: CleanOptions,
    steps: tuple[Callable[[str], str], ...],
    identify: Callable[[str], tuple[str, float]] | None,
    batch: pa.RecordBatch,
) -> Passed:
    inputs: list[str] = batch.column("input").to_pylist()
    faults: list[Fault] = [None] * len(inputs)
    if steps:
        cleaned = [_through(steps, text) for text in inputs]
        faults = [
            ("clean:empty", "nothing is left of the input") if text and not after.strip() else None
            for text, after in zip(inputs, cleaned, strict=True)
        ]
        inputs = cleaned
        batch = with_texts(batch, "input", inputs)
        batch = with_texts(batch, "target", [_through(steps, text) for text in batch.column("target").to_pylist()])
    if identify is not None:
        told = [identify(text) if len(text) >= options.language_chars else ("", 0.0) for text in inputs]
        batch = batch.append_column(pa.field("language", pa.string(), nullable=False), strings(t for t, _ in told))
        scores = from_numpy(np.array([score for _, score in told], dtype=np.float32))
        batch = batch.append_column(pa.field("language_score", pa.float32(), nullable=False), scores)
        faults = [fault or _foreign(options, *each) for fault, each in zip(faults, told, strict=True)]
    return without(batch, faults)


def _through(steps: tuple[Callable[[str], str], ...], text: str) -> str:
    for step in steps:
        text = step(text) if text else text
    return text


def _foreign(options: CleanOptions, language: str, score: float) -> Fault:
    if not options.languages or not language:
        return None
    if language not in options.languages:
        return "language", f"it is {language} ({score:.2f}); kept are {', '.join(options.languages)}"
    if score < options.min_language_score:
        return "language", f"{language} with a score of only {score:.2f}"
    return None
