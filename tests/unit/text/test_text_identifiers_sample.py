"""Five hundred hits in installed software and its documentation, each read and labelled by hand.

`right` says whether the text is what its kind says, with the right bounds. Letters of addresses and of what stands
before them were replaced afterwards, so that nobody is named; where they stand and how they are written was not.
"""

from __future__ import annotations

import json
from pathlib import Path

from kedge.text.identifiers import find_identifiers
from kedge.text.secrets import find_secrets

SAMPLE = Path(__file__).parents[2] / "data" / "identifiers.jsonl"


def test_of_labelled_hits_nearly_all_are_found_and_nearly_all_found_are_right() -> None:
    cases = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    assert len(cases) == 500
    right = found_right = found_wrong = 0
    for case in cases:
        text = case["before"] + case["text"] + case["after"]
        begin, end = len(case["before"]), len(case["before"]) + len(case["text"])
        hits = [hit for hit in (*find_identifiers(text), *find_secrets(text)) if hit.begin < end and begin < hit.end]
        exact = any((hit.begin, hit.end, hit.kind) == (begin, end, case["kind"]) for hit in hits)
        right += case["right"]
        found_right += case["right"] and exact
        found_wrong += bool(hits) and not (case["right"] and exact)
    assert found_right / right >= 0.99
    assert found_right / (found_right + found_wrong) >= 0.95
