"""Names and places by Presidio, with the spaCy model that is installed beside it. Needs `kedge[presidio]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from presidio_analyzer import AnalyzerEngine, BatchAnalyzerEngine

from kedge.data.privacy.types import Detector
from kedge.text.spans import Span, without_overlaps

ENTITIES = {"PERSON": "name", "LOCATION": "place", "NRP": "group"}
LEAST_SCORE = 0.5


def open_presidio() -> Detector:
    """A detector of names, places and groups of people in English. It loads its model once."""
    engine: Any = BatchAnalyzerEngine(AnalyzerEngine())

    def detect(texts: Sequence[str]) -> list[list[Span]]:
        found = engine.analyze_iterator(
            list(texts), language="en", entities=list(ENTITIES), score_threshold=LEAST_SCORE
        )
        return [
            without_overlaps(Span(each.start, each.end, ENTITIES[each.entity_type]) for each in results)
            for results in found
        ]

    return detect
