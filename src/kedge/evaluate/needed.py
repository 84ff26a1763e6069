"""How many cases would decide what is undecided, if what was seen is the truth."""

from __future__ import annotations

from collections.abc import Sequence

from kedge.core.evaluation import Interval
from kedge.statistics.paired import discordance, is_binary
from kedge.statistics.power import MOST, cases_for_paired, cases_for_proportion, cases_to_decide


def more_cases(interval: Interval, n: int, reference: float, *, binary: bool) -> int:
    """Cases that would tell a value from a reference four times out of five; always more than there are."""
    if binary and 0 < reference < 1:
        needed = cases_for_proportion(interval.value, reference, level=interval.level)
    else:
        needed = cases_to_decide(interval, n, reference)
    return min(MOST, max(n + 1, needed))


def more_pairs(
    first: Sequence[float], second: Sequence[float], interval: Interval, margin: float, *, grouped: bool = False
) -> int:
    """Pairs that would tell a difference from a margin four times out of five; always more than there are.

    `grouped`: the interval is one over groups of cases, and more cases are taken to come in groups as large.
    """
    if not grouped and margin == 0.0 and is_binary(first) and is_binary(second):
        pairs = discordance(first, second)
        needed = cases_for_paired(pairs.difference, pairs.share, level=interval.level)
    else:
        needed = cases_to_decide(interval, len(first), margin)
    return min(MOST, max(len(first) + 1, needed))
