"""What an answer cost."""

from __future__ import annotations

import json

from kedge.core.trace import Trace


def price(trace: Trace) -> float:
    """What an answer cost: the money on record, else its tokens."""
    if '"cost"' in trace.detail:
        cost = json.loads(trace.detail).get("cost")
        if isinstance(cost, int | float):
            return float(cost)
    return float(trace.prompt_tokens + trace.completion_tokens)
